//! File systems on which locks do not work.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// Replaces `flock`, with which the standard library locks files, in the processes that load it.
/// `fcntl`, with which SQLite locks its files, works as before. Needs Linux and, like the build of
/// SQLite, `cc`.
#[derive(Debug)]
pub struct FileLocks {
    folder: TempDir,
}

impl FileLocks {
    /// Every lock fails with this error, such as `ENOLCK`.
    ///
    /// # Panics
    /// If the library cannot be compiled.
    pub fn failing(error: &str) -> Self {
        Self::compile(&format!("errno = {error}; return -1;"))
    }

    /// Every lock is granted, to any number of processes.
    ///
    /// # Panics
    /// If the library cannot be compiled.
    pub fn ignored() -> Self {
        Self::compile("return 0;")
    }

    fn compile(body: &str) -> Self {
        let this = Self { folder: tempfile::tempdir().expect("a directory") };
        let source = this.folder.path().join("locks.c");
        let code = format!("#include <errno.h>\nint flock(int file, int operation) {{ {body} }}\n");
        fs::write(&source, code).expect("it is written");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(this.library()).arg(source);
        assert!(compiler.stdin(Stdio::null()).status().expect("cc").success());
        this
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("locks.so")
    }

    /// Makes a program use these locks.
    pub fn load_into(&self, program: &mut Command) {
        program.env("LD_PRELOAD", self.library());
    }
}
