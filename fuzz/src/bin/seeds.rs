//! Writes the seeds to `corpus/`, or to the folder that is named.

use std::{fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")), PathBuf::from);
    for (target, name, bytes) in tributary_fuzz::seeds::all() {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
