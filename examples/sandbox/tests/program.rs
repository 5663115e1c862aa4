//! The program: its options, what it prints, and how it ends.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Command, Output, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_example-sandbox");

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).env_clear().output().expect("it runs")
}

fn one_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// Starts the program on a free port, and ends it after its first lines.
fn first_lines(count: usize, program: &mut Command) -> Vec<String> {
    let program = program.args(["--listen", "127.0.0.1:0"]);
    let program = program.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = program.spawn().expect("it runs");
    let lines = BufReader::new(program.stdout.take().expect("it is piped")).lines();
    let lines = lines.take(count).map(|line| line.expect("text")).collect();
    program.kill().expect("it ends");
    program.wait().expect("it ends");
    lines
}

#[test]
fn wrong_option_is_named_and_exits_with_2() {
    for (args, part) in [
        (&["--listen", "localhost"][..], "--listen"),
        (&["--webhook", "example.com"], "http://"),
        (&["--inbox", "inb_a"], "ID=address"),
        (&["--inbox", "inb_a=nobody"], "not an address"),
        (&["--speed", "0"], "greater than 0"),
        (&["--secret", " padded"], "--secret"),
        (&["--nothing"], "--nothing"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.starts_with("error: ") && text.contains(part), "{args:?}: {text}");
    }
}

#[test]
fn port_in_use_prints_one_line_and_exits_with_1() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let line = one_line(&output);
    assert!(line.contains(&address) && line.contains("--listen"), "{line}");
}

#[test]
fn unusable_state_file_prints_one_line_and_exits_with_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing/state.db");
    let no_database = folder.path().join("text.db");
    std::fs::write(&no_database, "not a database, and long enough for SQLite to notice").unwrap();
    for path in [&missing, &no_database, &folder.path().to_owned()] {
        let path = path.to_str().expect("text");
        let output = run(&["--listen", "127.0.0.1:0", "--state", path]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(one_line(&output).contains(path));
    }
}

#[test]
fn empty_variables_count_as_unset() {
    let names =
        ["WEBHOOK", "SECRET", "API_KEY", "INBOXES", "SPEED", "STATE", "ALLOW_REMOTE", "NO_LIMITS"];
    let empty = names.map(|name| (format!("SANDBOX_{name}"), ""));
    let lines = first_lines(5, Command::new(PROGRAM).env_clear().envs(empty));
    assert!(lines.contains(&"# inbox inb_support: support@sandbox.test".to_owned()), "{lines:?}");
}

#[cfg(unix)]
#[test]
fn shell_reads_the_printed_settings_as_they_are() {
    let (key, secret) = ("om_$HOME;`x`&\"", "it's a$b; exit 3 #\\");
    let mut program = Command::new(PROGRAM);
    program.args(["--api-key", key, "--secret", secret]).env_clear();
    let settings = first_lines(3, &mut program);
    let shell = Command::new("/bin/sh")
        .args([
            "-c",
            "eval \"$1\"; printf '%s\\n' \"$OPENMAIL_API_KEY\" \"$OPENMAIL_WEBHOOK_SECRET\"",
            "sh",
        ])
        .arg(settings.join("\n"))
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&shell.stdout), format!("{key}\n{secret}\n"));
}
