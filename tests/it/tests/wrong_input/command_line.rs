//! The command line: files that have no end, outputs that nobody reads, and a secret that stands twice.

use super::{Said, decent, product, run};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Files of an author, and commands about them.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let files_of_it = Self(directory);
        for (name, text) in files {
            files_of_it.write(name, text);
        }
        files_of_it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the directory can be written");
    }

    fn pipe(&self, name: &str) {
        let made = Command::new("mkfifo").arg(self.path(name)).status();
        assert!(made.expect("coreutils are there").success());
    }

    /// A command of `policy`, in the directory of the files.
    fn policy(&self, arguments: &[&str]) -> Command {
        let mut command = product(&["--log-level", "error", "policy"]);
        command.args(arguments).current_dir(self.0.path());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Said {
        run(&mut self.policy(arguments))
    }
}

#[test]
fn what_explain_shows_has_no_secret_in_it_wherever_it_stands_again() {
    let pasted = "Tajne-hunter2-77";
    let files = Files::new(&[
        (
            "a.json",
            &json!({ "a": { "#password": pasted }, "note": format!("{pasted} is it") }).to_string(),
        ),
        (
            "b.py",
            "password = \"Xk7vR2hunter2mpQz\" # remember Xk7vR2hunter2mpQz\n",
        ),
        // Found in neither of the two, nor here, but for what the first file tells.
        (
            "c.py",
            &format!("x = \"{pasted}\"\nsecret = \"Qz9-other-one-31\" # not {pasted}\n"),
        ),
    ]);
    for arguments in [["explain", "."].as_slice(), &["explain", ".", "--json"]] {
        let said = files.run(arguments);
        said.must(1, &["would withhold the objects of 2 files"]);
        for shown in ["hunter2", "Tajne", "Xk7v", "mpQz", "Qz9-"] {
            assert!(
                !said.stdout.contains(shown),
                "`{shown}` is shown:\n{}",
                said.stdout
            );
        }
        assert!(said.stdout.contains("# remember"), "{}", said.stdout);
        // As `render` withholds them.
        let withheld = said.stdout.matches("guard-known-secret").count();
        assert_eq!(withheld, 2, "{}", said.stdout);
    }
}

#[test]
fn a_module_that_was_cut_off_is_told_in_one_line() {
    let files = Files::new(&[("doc.txt", "nothing")]);
    let code = "i32.const 1\n drop\n".repeat(500);
    let module = wat::parse_str(format!(
        "(module (memory (export \"memory\") 1) (func (export \"a\") {code}))"
    ));
    let module = module.expect("the text is a module");
    files.write("cut.wasm", &module[..1_000]);
    for arguments in [
        ["check", "cut.wasm"].as_slice(),
        &["inspect", "cut.wasm"],
        &["wrap", "cut.wasm", "--out", "out.wasm"],
        &["bench", "cut.wasm"],
        &["scan", "doc.txt", "--policy", "cut.wasm"],
        &["explain", "doc.txt", "--policy", "cut.wasm"],
    ] {
        let said = files.run(arguments);
        said.must(1, &[]);
        let told = format!("{}{}", said.stdout, said.stderr);
        assert!(
            told.contains("no whole WebAssembly module") || arguments[0] == "check",
            "{told}"
        );
        assert!(told.contains("malformed at byte"), "{told}");
    }
    assert!(!files.path("out.wasm").exists());
}

/// Commands that print something, and how they end where it is read.
fn printing(files: &Files) -> Vec<(Vec<&'static str>, i32)> {
    files.write("doc.py", "password = \"Xk7vR2hunter2mpQz\"\n");
    files.write("not.wasm", "no module");
    vec![
        (vec!["scan", "doc.py"], 0),
        (vec!["scan", "doc.py", "--json"], 0),
        (vec!["explain", "doc.py"], 0),
        (vec!["explain", "doc.py", "--json"], 0),
        (vec!["selftest", "--only", "trap"], 0),
        (vec!["check", "not.wasm", "--json"], 1),
        (vec!["new", "a-policy", "--lang", "c"], 0),
    ]
}

/// Runs a command whose standard output goes there; it must not panic.
#[track_caller]
fn run_into(mut command: Command, stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let child = command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    let output = child
        .and_then(std::process::Child::wait_with_output)
        .expect("the program can be started");
    let stderr = String::from_utf8(output.stderr).expect("the product prints UTF-8");
    decent(&stderr);
    (output.status.code(), stderr)
}

#[test]
fn output_that_cannot_be_written_is_told_once_and_the_work_is_done() {
    let files = Files::new(&[]);
    for (arguments, _) in printing(&files) {
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it");
        let (code, stderr) = run_into(files.policy(&arguments), full);
        assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
        let told = stderr
            .matches("cannot write to standard output: No space left")
            .count();
        assert_eq!(told, 1, "{arguments:?}: {stderr}");
    }
    assert!(files.path("a-policy/README.md").is_file());
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let files = Files::new(&[]);
    for (arguments, expected) in printing(&files) {
        let (reader, writer) = std::io::pipe().expect("pipes can be made");
        drop(reader);
        let (code, stderr) = run_into(files.policy(&arguments), writer);
        assert_eq!(code, Some(expected), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("standard output"), "{arguments:?}: {stderr}");
    }
    // Who only answers has nothing left to do.
    let (reader, writer) = std::io::pipe().expect("pipes can be made");
    drop(reader);
    let mut lines = Command::new("yes")
        .arg(r#"{"id":1,"text":"a"}"#)
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils are there");
    let mut scan = files.policy(&["scan", "--jsonl"]);
    scan.stdin(lines.stdout.take().expect("it is piped"))
        .stdout(writer)
        .stderr(Stdio::null());
    let ended = scan.status().expect("the program can be started");
    // It has the pipe's other end.
    drop(scan);
    drop(lines.wait());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    for level in ["warning", "bogus=,x", ""] {
        let said = run(&mut product(&["--log-level", level, "policy", "selftest"]));
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(
            said.stderr.contains("error, warn, info, debug or trace"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn what_got_no_verdict_is_counted_and_fails() {
    let files = Files::new(&[("b.py", "password = \"Xk7vR2hunter2mpQz\"\n")]);
    let large = File::create(files.path("a.txt")).expect("the directory can be written");
    large.set_len((64 << 20) + 1).expect("it takes no room");
    let said = files.run(&["scan", "."]);
    said.must(1, &["1 documents got no verdict"]);
    assert!(said.stdout.contains("b.py:1: password"), "{}", said.stdout);
    assert!(
        said.stdout.contains("1 findings in 1 files, 1 withheld"),
        "{}",
        said.stdout
    );

    let written = files.run(&["selftest", "--only", "trap", "--write", "hostile"]);
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    files.write("doc.json", r#"{"!t": 1}"#);
    let said = files.run(&["scan", "doc.json", "--policy", "hostile/trap.wasm"]);
    said.must(1, &["1 documents got no verdict"]);
    assert!(
        said.stdout.contains("0 findings in 1 files, 1 withheld"),
        "{}",
        said.stdout
    );
}

#[test]
fn only_regular_files_are_read_and_not_without_end() {
    let files = Files::new(&[("a.py", "password = \"Xk7vR2hunter2mpQz\"\n"), ("cases.txt", "")]);
    files.pipe("pipe");
    fs::create_dir_all(files.path("cases/one/input")).expect("the directory can be written");
    files.pipe("cases/one/input/pipe");
    files.write("cases/one/input/a.txt", "a");
    for file in ["pipe", "/dev/zero"] {
        for arguments in [
            ["scan", file].as_slice(),
            &["explain", file],
            &["check", file],
            &["bench", "none.wasm", "--data", file],
            &["scan", "a.py", "--policy", "none.wasm", "--settings", file],
        ] {
            files.run(arguments).must(2, &[file, "it is no regular file"]);
        }
        let mut check = product(&["config", "check", "--config", file]);
        run(check.current_dir(files.path(""))).must(2, &[file, "it is no regular file"]);
    }
    // In a directory it is passed over, as links are.
    let said = files.run(&["scan", "."]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("1 findings in 3 files"), "{}", said.stdout);
    assert_eq!(files.run(&["explain", "."]).code, Some(0));
}

#[test]
fn events_are_read_from_files_that_end_and_within_bounds() {
    let files = Files::new(&[("mirror.toml", "")]);
    files.pipe("pipe");
    let large = File::create(files.path("large")).expect("the directory can be written");
    large.set_len(20 << 20).expect("it has holes only");
    let publish = |file: &str| {
        let mut command = product(&["events", "publish", "--config", "mirror.toml", "--mirror", "shop"]);
        command.args(["--file", file]).current_dir(files.0.path());
        command
    };
    for (file, problem) in [
        ("pipe", "it is no regular file"),
        ("/dev/zero", "it is no regular file"),
        ("large", "it has more than 16777216 bytes"),
    ] {
        run(&mut publish(file)).must(2, &["cannot read", file, problem]);
    }
    let mut endless = publish("-");
    endless.stdin(File::open("/dev/zero").expect("there is such a device"));
    let output = endless.output().expect("the program can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot read `-`: it has more than"), "{stderr}");
}

#[test]
fn settings_with_a_byte_order_mark_are_told_so() {
    let files = Files::new(&[("settings.json", "\u{feff}{}"), ("policy.wasm", "")]);
    let said = files.run(&["check", "policy.wasm", "--settings", "settings.json"]);
    said.must(2, &["settings.json", "byte order mark"]);
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_what_others_have() {
    let files = Files::new(&[
        ("a.py", "password = \"Xk7vR2hunter2mpQz\"\n"),
        ("c.py", "x = 1\n"),
    ]);
    let said = files.run(&["scan", "a.py", "b.py", "c.py"]);
    said.must(2, &["cannot read `b.py`"]);
    assert!(said.stdout.contains("a.py:1: password"), "{}", said.stdout);
    assert!(said.stdout.contains("1 findings in 2 files"), "{}", said.stdout);
    let said = files.run(&["scan", "a.py", "b.py", "--json"]);
    said.must(2, &["cannot read `b.py`"]);
    let told: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    assert_eq!(told["findings"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["unreadable"][0]["file"], "b.py", "{told}");
}

#[test]
fn where_nothing_could_be_read_only_that_is_told() {
    let files = Files::new(&[]);
    for arguments in [
        ["scan", "none.py"].as_slice(),
        &["scan", "none.py", "--json"],
        &["scan", "none.py", "nor.py"],
        &["explain", "none.py"],
        &["explain", "none.py", "--json"],
        &["bench", "none.wasm", "--data", "none.py"],
    ] {
        let said = files.run(arguments);
        said.must(2, &["cannot read", "`none.py`"]);
        assert_eq!(said.stdout, "", "{arguments:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
    }
}

#[test]
fn lines_around_a_wrong_one_are_answered_and_ids_come_back_as_they_were() {
    let files = Files::new(&[(
        "lines",
        concat!(
            "{\"id\":18446744073709551616,\"text\":\"a\"}\n",
            "{\"id\":\"b\",\"text\":\"a\"}\n",
            "{\"id\":3,\"path\":5,\"text\":\"hunter2\"}\n",
            "{\"id\":4,\"text\":\"a\"}\n"
        ),
    )]);
    let mut scan = files.policy(&["scan", "--jsonl"]);
    scan.stdin(File::open(files.path("lines")).expect("it is there"));
    let output = scan.output().expect("the program can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the product prints UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(
        stdout,
        concat!(
            "{\"id\":18446744073709551616,\"spans\":[]}\n",
            "{\"id\":\"b\",\"spans\":[]}\n",
            "{\"line\":3,\"error\":\"`path` is no string\"}\n",
            "{\"id\":4,\"spans\":[]}\n"
        )
    );
    assert!(
        stderr.contains("line 3 of standard input: `path` is no string"),
        "{stderr}"
    );
    decent(&stderr);
}

/// A process that may write files of one kilobyte at most, as where a disk is full.
fn on_a_full_disk(command: &Command, directory: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(directory);
    shell
}

#[test]
fn a_project_or_component_for_which_there_is_no_room_leaves_nothing_behind() {
    let files = Files::new(&[]);
    fs::create_dir(files.path("empty")).expect("the directory can be written");
    let filler = "\u{e9}".repeat(2_000);
    // One of which a component can be made.
    let policy = include_str!("../../../../runtime/sandbox/src/hostile/policy.wat");
    let data = format!("(data (i32.const 0) \"{filler}\")");
    let module = wat::parse_str(policy.replace(";;START;;", &data));
    files.write("module.wasm", module.expect("the text is a module"));
    files.write("there.wasm", "what was there");
    for arguments in [
        ["new", "words", "--lang", "rust"].as_slice(),
        &["new", "words", "--lang", "rust", "--dir", "empty"],
        &["wrap", "module.wasm", "--out", "there.wasm"],
        &["wrap", "module.wasm", "--out", "out.wasm"],
    ] {
        let said = run(&mut on_a_full_disk(&files.policy(arguments), files.0.path()));
        said.must(1, &["cannot write"]);
    }
    let left = |directory: &str| -> Vec<String> {
        let entries = fs::read_dir(files.path(directory)).expect("it is there");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("it is there")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(left(""), ["empty", "module.wasm", "there.wasm"]);
    assert!(left("empty").is_empty());
    let there = fs::read_to_string(files.path("there.wasm")).expect("it is there");
    assert_eq!(there, "what was there");
    // With room it is there, in an empty directory too.
    let said = files.run(&["new", "words", "--lang", "rust", "--dir", "empty", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let told: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    assert_eq!(told["directory"], json!("empty"));
    for file in told["files"].as_array().expect("they are listed") {
        let file = format!("empty/{}", file.as_str().expect("a path"));
        assert!(files.path(&file).is_file(), "{file}");
    }
    assert!(!left("empty").iter().any(|name| name.starts_with(".kbc-mirror")));
}
