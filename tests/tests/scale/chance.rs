//! Draws of the simulation: a seed gives one run.

use tributary_local::random::DemoRandom;

use tributary_tests::growth::as_f64;

/// A number in `(0, 1]`.
pub(crate) fn unit(random: &mut DemoRandom) -> f64 {
    (as_f64(random.next_u64() >> 32) + 1.0) / 4_294_967_296.0
}

/// A time in seconds between two events that come at `rate` a second.
pub(crate) fn exponential(rate: f64, random: &mut DemoRandom) -> f64 {
    -unit(random).ln() / rate
}

/// How many events of a mean come.
pub(crate) fn poisson(mean: f64, random: &mut DemoRandom) -> u64 {
    if mean > 30.0 {
        // The normal law that it is near to there (Box and Muller, 1958).
        let radius = (-2.0 * unit(random).ln()).sqrt();
        let draw = mean + mean.sqrt() * radius * (std::f64::consts::TAU * unit(random)).cos();
        return whole(draw.max(0.0));
    }
    let (mut events, mut product, floor) = (0, unit(random), (-mean).exp());
    while product > floor {
        events += 1;
        product *= unit(random);
    }
    events
}

/// Between two times.
pub(crate) fn between((least, most): (u64, u64), random: &mut DemoRandom) -> u64 {
    least + random.below(most - least + 1)
}

/// True so many times in a hundred thousand.
pub(crate) fn happens(times: u64, random: &mut DemoRandom) -> bool {
    random.below(100_000) < times
}

/// The whole part of a number that is not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time or a count of a simulation")]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}
