//! Saves attachments as files.

use std::{
    io,
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempPath};
use tokio::{fs::File, task::spawn_blocking};

use super::{
    download::{Download, disk},
    error::{ApiError, ApiErrorKind},
    file_name::{numbered, safe},
};

/// The maximum number of files with one name in a directory, counting those with an added number.
const SAME: u32 = 1000;

impl Download {
    /// Downloads the attachment into a file in `dir`, and returns its path.
    ///
    /// The file has the attachment's name, made safe: for example, without path separators and
    /// invisible characters. If the name is taken, a number is added. The file gets its name only
    /// after it is complete and on disk. Until then, it is a temporary file in `dir`, which is
    /// removed if the download fails or is dropped. On Unix, the saved file can be read by its
    /// owner only.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes), and [`Disk`](ApiErrorKind::Disk) if the file cannot be
    /// written, for example because `dir` does not exist, or because it already has 1,000 files
    /// with this name, counting those with an added number.
    pub async fn save_in(self, dir: impl AsRef<Path>) -> Result<PathBuf, ApiError> {
        let dir = dir.as_ref().to_owned();
        let name = safe(self.attachment.filename.as_deref().unwrap_or_default());
        let mut body = self.open().await?;
        let folder = dir.clone();
        let temporary = blocking(move || {
            tempfile::Builder::new().prefix(".openmail-").suffix(".part").tempfile_in(folder)
        });
        let (file, path) = temporary.await?.into_parts();
        let mut file = File::from_std(file);
        body.copy_to(&mut file).await?;
        file.sync_all().await.map_err(disk)?;
        let file = file.into_std().await;
        blocking(move || {
            let saved = place(NamedTempFile::from_parts(file, path).into_temp_path(), &dir, &name)?;
            // The file's name is stored in the directory, so the directory is synced as well.
            #[cfg(unix)]
            std::fs::File::open(&dir)?.sync_all()?;
            Ok(saved)
        })
        .await
    }
}

/// Gives a complete file its name, without replacing another file.
fn place(mut file: TempPath, dir: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 1..=SAME {
        let to = if number == 1 { dir.join(name) } else { dir.join(numbered(name, number)) };
        match file.persist_noclobber(&to) {
            Ok(()) => return Ok(to),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.path,
            Err(error) => return Err(error.error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files have this name"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(disk),
        Err(error) => {
            Err(ApiError::new(ApiErrorKind::Disk, "the runtime is shutting down").caused_by(error))
        }
    }
}
