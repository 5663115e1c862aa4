//! Measures the disk itself.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const PAGE: [u8; 4096] = [7; 4096];
const PAGES: u32 = 1000;

/// Waits until the disk has written everything, so that one side's writes do not slow down the
/// other.
pub(crate) fn settle() {
    assert!(Command::new("sync").status().is_ok_and(|status| status.success()), "sync failed");
}

/// Returns the number of pages per second that the disk writes with a flush after each. They
/// overwrite existing pages, as a write-ahead log mostly does.
pub(crate) fn flushes(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("flushes")).expect("a file");
    for _ in 0..PAGES {
        file.write_all(&PAGE).expect("room on the disk");
    }
    file.sync_all().expect("a disk");
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_millis(200) {
        let page = u64::from(count % PAGES) * PAGE.len() as u64;
        file.seek(SeekFrom::Start(page)).expect("a place in the file");
        file.write_all(&PAGE).expect("room on the disk");
        file.sync_data().expect("a disk");
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}
