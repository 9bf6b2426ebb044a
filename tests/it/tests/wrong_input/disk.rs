//! Disks without room: nothing is lost, and the message says what is full.

use super::{Told, all_is_well_after_a_restart, ask, bearer, decent, event, run};
use crate::support::{INGEST_TOKEN, Installation, JANE, Keboola, Options, PETR, Server, until};
use serde_json::json;
use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A small file system over one path of an installation. Only processes that are started in it see
/// it, and it goes with its holder, whatever becomes of the test.
struct SmallDisk {
    holder: Child,
    over: PathBuf,
}

impl SmallDisk {
    /// Makes one; none where this user may not.
    fn new(over: &Path, kilobytes: u32) -> Option<Self> {
        let mount =
            format!("mount -t tmpfs -o size={kilobytes}k,mode=755 none \"$0\" && echo mounted && exec cat");
        let is_root = fs::metadata("/proc/self").expect("there is /proc").uid() == 0;
        let namespaces = if is_root {
            ["--mount"].as_slice()
        } else {
            &["--mount", "--map-root-user"]
        };
        let mut command = Command::new("unshare");
        command.args(namespaces).args(["sh", "-c", &mount]).arg(over);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut holder = command.spawn().ok()?;
        let mut said = [0; 8];
        let is_mounted = holder
            .stdout
            .take()
            .is_some_and(|mut stdout| stdout.read_exact(&mut said).is_ok());
        let disk = Self {
            holder,
            over: over.to_owned(),
        };
        is_mounted.then_some(disk)
    }

    /// The path as the processes in it see it, for those outside.
    fn inside(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(self.over.strip_prefix("/").expect("the path is absolute"))
    }

    /// The same command, run where the disk is seen.
    fn enter(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        let pid = self.holder.id().to_string();
        entered.args(["--target", &pid, "--mount"]);
        if fs::metadata("/proc/self").expect("there is /proc").uid() != 0 {
            entered.args(["--user", "--preserve-credentials"]);
        }
        entered
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(name, value),
                None => entered.env_remove(name),
            };
        }
        entered
    }

    /// Writes a file that leaves no room at all.
    fn fill(&self) {
        let mut file = File::create(self.inside().join("filler")).expect("there is room for a name");
        let full = (0..1 << 20)
            .find_map(|_| file.write_all(&[b'.'; 4096]).err())
            .expect("the disk is small");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
    }

    fn make_room(&self) {
        fs::remove_file(self.inside().join("filler")).expect("it was filled");
    }

    /// Moves everything to a large disk: to the path as it is seen from outside.
    fn move_out(&self) {
        // Without its directory the small disk would be gone.
        let aside = self.over.with_extension("copy");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.inside())
            .arg(&aside)
            .status();
        assert!(copied.expect("cp can be started").success());
        fs::remove_dir_all(&self.over).expect("the directory is ours");
        fs::rename(&aside, &self.over).expect("the directory is ours");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// The file size that a process may write; past it, writes fail as on a full disk.
fn limit_file_size(server: &Server, bytes: Option<u64>) {
    let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let mut prlimit = Command::new("prlimit");
    prlimit.args([
        "--pid",
        &server.pid().to_string(),
        &format!("--fsize={bytes}:unlimited"),
    ]);
    assert_eq!(run(&mut prlimit).code, Some(0), "limits can be set");
}

/// The same command, to which a file that is too large is an error and not its death.
fn without_signal(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Posts fresh changes one by one until the log has no room, and returns the answer that says so.
/// What was answered 202 before must not be lost.
async fn post_until_refused(site: &Installation, server: &Server) -> Told {
    for number in 0..2_000 {
        site.keboola.set(&site.keboola.orders(), JANE, "number", number);
        let event = site
            .keboola
            .outbox(0)
            .last()
            .expect("a change was told")
            .json
            .clone();
        let told = ask(server, "POST", "/v1/events", Some(&bearer(INGEST_TOKEN)), &event).await;
        if told.status != 202 {
            return told;
        }
    }
    panic!("the log took 2,000 events without room");
}

async fn until_mirrored(server: &Server, branch: &str) {
    until("the first commit is made", async || {
        let lane = server.lane(branch).await;
        (lane["state"] == "in sync" && lane["tip"].is_string()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_for_which_the_disk_has_no_room_is_not_accepted() {
    // Where file systems may be mounted, a disk that is full; and everywhere, files that cannot grow.
    for is_mounted in [false, true] {
        let keboola = Keboola::small();
        let main = keboola.main();
        let site = Installation::new(
            &keboola,
            Options {
                dev_branches: false,
                ..Options::default()
            },
        );
        let shared = fs::read_link(site.data_dir().join("guests")).expect("guests are shared");
        let disk = if is_mounted {
            SmallDisk::new(&site.data_dir(), 6_000)
        } else {
            None
        };
        if is_mounted && disk.is_none() {
            continue;
        }
        let mut serve = without_signal(&site.serve());
        if let Some(disk) = &disk {
            std::os::unix::fs::symlink(shared, disk.inside().join("guests")).expect("there is room");
            serve = disk.enter(&serve);
        }
        let mut server = site.spawn(&mut serve);
        assert!(server.listening().await, "the process ended before it listened");
        until_mirrored(&server, &main).await;
        match &disk {
            Some(disk) => disk.fill(),
            None => limit_file_size(&server, Some(4_096)),
        }
        let told = post_until_refused(&site, &server).await;
        assert_eq!(
            (told.status, told.kind.as_str()),
            (503, "application/problem+json"),
            "{}",
            told.body
        );
        assert!(told.body.contains("send all events again"), "{}", told.body);
        assert!(told.retry_after.parse::<u32>().is_ok(), "{}", told.retry_after);
        let logged = until("the refusal is logged", async || {
            server.logged("events not accepted").into_iter().next()
        });
        let logged = logged.await;
        let reason = logged["error"].as_str().unwrap_or_default();
        decent(reason);
        if disk.is_some() {
            assert!(told.body.contains("disk is full"), "{}", told.body);
            assert!(
                reason.contains("disk of the event log is full; free space"),
                "{reason}"
            );
        }
        // It says that it cannot go on, as long as it cannot.
        let again = server
            .post(&event(&keboola).to_string())
            .await
            .expect("it answers");
        if again.status != 202 {
            let (ready, live) = (server.get("/readyz").await, server.get("/livez").await);
            let (ready, live) = (ready.expect("it answers"), live.expect("it answers"));
            assert!(
                ready.status == 200 || ready.status == 503 && ready.body.contains("event log"),
                "{ready:?}"
            );
            assert_eq!(
                ready.status, live.status,
                "who is never ready again must be restarted: {live:?}"
            );
        }
        match &disk {
            Some(disk) => disk.make_room(),
            None => limit_file_size(&server, None),
        }
        server.stop().await;
        if let Some(disk) = &disk {
            disk.move_out();
        }
        all_is_well_after_a_restart(&site).await;
    }
}

/// Text that no compression makes much smaller, without a meaning to anybody.
fn noise(bytes: usize) -> String {
    let mut state = 7_u64;
    let mut letter = move || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let drawn = usize::try_from(state >> 40).expect("24 bits") % 26;
        char::from(b"abcdefghijklmnopqrstuvwxyz"[drawn])
    };
    (0..bytes)
        .map(|at| if at % 6 == 5 { ' ' } else { letter() })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_for_which_the_disk_has_no_room_is_made_when_there_is_some() {
    // Where file systems may be mounted, the repository's disk is full; and everywhere, no pack fits.
    for is_mounted in [false, true] {
        let keboola = Keboola::small();
        let main = keboola.main();
        let site = Installation::new(
            &keboola,
            Options {
                dev_branches: false,
                ..Options::default()
            },
        );
        let disk = if is_mounted {
            SmallDisk::new(site.repository.path(), 600)
        } else {
            None
        };
        if is_mounted && disk.is_none() {
            continue;
        }
        let mut serve = without_signal(&site.serve());
        if let Some(disk) = &disk {
            let copied = Command::new("cp")
                .arg("-a")
                .arg(site.repository.path().join("."))
                .arg(disk.inside())
                .status();
            assert!(copied.expect("cp can be started").success());
            serve = disk.enter(&serve);
        }
        let mut server = site.spawn(&mut serve);
        assert!(server.listening().await, "the process ended before it listened");
        until_mirrored(&server, &main).await;
        let tip = server.lane(&main).await["tip"].clone();
        match &disk {
            Some(disk) => disk.fill(),
            None => limit_file_size(&server, Some(400_000)),
        }
        keboola.set(&keboola.orders(), JANE, "note", noise(1_500_000));
        site.deliver(&mut server).await.expect("the process lives");
        let lane = until("the outage is told", async || {
            let lane = server.lane(&main).await;
            lane["outage"].is_object().then_some(lane)
        })
        .await;
        let reason = lane["outage"]["reason"].as_str().unwrap_or_default();
        assert!(
            reason.contains("no space left") && reason.contains("free disk space"),
            "{reason}"
        );
        assert!(disk.is_none() || reason.contains("repository.git"), "{reason}");
        assert_eq!((&lane["state"], &lane["tip"]), (&json!("retrying"), &tip));
        // Meanwhile changes are accepted.
        keboola.set(&keboola.clean(), PETR, "meanwhile", 1);
        site.deliver(&mut server).await.expect("the process lives");
        match &disk {
            Some(disk) => disk.make_room(),
            None => limit_file_size(&server, None),
        }
        server.stop().await;
        if let Some(disk) = &disk {
            disk.move_out();
        }
        site.repository.fsck();
        all_is_well_after_a_restart(&site).await;
    }
}
