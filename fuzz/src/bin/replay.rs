//! Drives the targets without coverage, on any toolchain: replays every seed, then mutates seeds at random.
//!
//! `replay [--seconds N] [--seed S] [--corpus DIR] [TARGET …]`: each target N seconds (default 6), all targets where
//! none is named. `--file PATH` instead replays one input, to look at a finding. The run is the same for the same seed
//! and number of inputs; a finding is written to `artifacts/<target>/`, its hexadecimal form printed.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use tributary_fuzz::{TARGETS, Target};

/// The most bytes of a mutated input.
const MAX_INPUT_BYTES: usize = 4_096;
/// An input that takes longer is a finding: a few kilobytes that keep a Worker busy.
const MAX_INPUT_TIME: Duration = Duration::from_secs(5);

struct Options {
    seconds: u64,
    seed: u64,
    corpus: PathBuf,
    file: Option<PathBuf>,
    targets: Vec<Target>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        seconds: 6,
        seed: 1,
        corpus: Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"),
        file: None,
        targets: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match argument.as_str() {
            "--seconds" => options.seconds = value()?.parse().map_err(|_| "--seconds wants a number")?,
            "--seed" => options.seed = value()?.parse().map_err(|_| "--seed wants a number")?,
            "--corpus" => options.corpus = value()?.into(),
            "--file" => options.file = Some(value()?.into()),
            name => {
                let target = TARGETS.iter().find(|target| target.name == name).ok_or(format!("no target {name}"))?;
                options.targets.push(*target);
            }
        }
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.to_vec();
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("replay: {why}");
            return ExitCode::from(2);
        }
    };
    let mut findings = 0;
    for target in &options.targets {
        let outcome = match &options.file {
            Some(path) => fs::read(path).map(|input| check(*target, &input)).map_err(|error| error.to_string()),
            None => fuzz(*target, &options),
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => findings += 1,
            Err(why) => {
                eprintln!("replay: {}: {why}", target.name);
                return ExitCode::from(2);
            }
        }
    }
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Replays the corpus, then mutates. False: a finding.
fn fuzz(target: Target, options: &Options) -> Result<bool, String> {
    let folder = options.corpus.join(target.name);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    paths.sort();
    let mut pool = Vec::new();
    for path in paths {
        pool.push(fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    if pool.is_empty() {
        return Err(format!("{} holds no seeds", folder.display()));
    }
    let started = Instant::now();
    let mut inputs = 0_u64;
    for input in &pool {
        inputs += 1;
        if !check(target, input) {
            return Ok(false);
        }
    }
    let mut random = Random(options.seed ^ fnv(target.name.as_bytes()));
    while started.elapsed() < Duration::from_secs(options.seconds) {
        let input = random.mutate(&pool);
        inputs += 1;
        if !check(target, &input) {
            return Ok(false);
        }
    }
    println!("{:12} {inputs:>9} inputs in {:>4.1} s, no finding", target.name, started.elapsed().as_secs_f64());
    Ok(true)
}

/// Runs one input. False: a finding, which is written down.
fn check(target: Target, input: &[u8]) -> bool {
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let is_slow = started.elapsed() > MAX_INPUT_TIME;
    if result.is_ok() && !is_slow {
        return true;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
    let path = folder.join(format!("replay-{:016x}", fnv(input)));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
    let what = if is_slow { "took too long" } else { "panicked" };
    eprintln!("{}: {what} on {} bytes: {}", target.name, input.len(), hex(input));
    match written {
        Ok(()) => eprintln!("written to {}", path.display()),
        Err(error) => eprintln!("{}: {error}", path.display()),
    }
    false
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// FNV-1a, 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to choose mutations.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 where that is 0.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % limit).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A seed with one to eight changes, now and then bytes without a seed.
    fn mutate(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut input = if self.below(16) == 0 { Vec::new() } else { pool[self.below(pool.len())].clone() };
        for _ in 0..=self.below(8) {
            self.change(&mut input, pool);
        }
        input.truncate(MAX_INPUT_BYTES);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
        /// What often means something: ends of ranges, signs, tags, quotes.
        const TELLING: [&[u8]; 12] = [
            &[0],
            &[0xff],
            &[0x7f],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            b"\"",
            b"\\",
            b"\n",
            b"-1",
            b"1e400",
            &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
        ];
        let at = self.below(input.len() + 1);
        let end = (at + 1 + self.below(16)).min(input.len());
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.byte(),
            2 if at < end => drop(input.drain(at..end)),
            3 if at < end => {
                let copy: Vec<u8> = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            4 => drop(input.splice(at..at, TELLING[self.below(TELLING.len())].iter().copied())),
            5 => {
                // The head of this input and the tail of another.
                let other = &pool[self.below(pool.len())];
                input.truncate(at);
                input.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
            _ => {
                let byte = self.byte();
                input.insert(at, byte);
            }
        }
    }
}
