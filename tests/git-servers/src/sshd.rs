//! `sshd` with `git-shell`: keys only, and Git's own commands only.

use crate::inetd::Inetd;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A running SSH server; its host key and the client's key are made for it alone.
#[derive(Debug)]
pub struct SshServer {
    inetd: Inetd,
    root: PathBuf,
    user: String,
    directory: tempfile::TempDir,
}

impl SshServer {
    /// Starts to serve the repositories below a directory.
    ///
    /// # Panics
    /// If `sshd`, `ssh-keygen` or `git-shell` is missing: `cargo xtask setup` installs them.
    #[must_use]
    pub fn start(root: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = |name: &str| directory.path().join(name);
        for key in ["host_key", "client_key", "other_key"] {
            keygen(&path(key));
        }
        fs::copy(path("client_key.pub"), path("authorized_keys")).expect("keys can be copied");
        let exec_path = crate::git(root, &["--exec-path"]);
        // A login as the user of the tests, who may run nothing but `git-shell`.
        let config = format!(
            "HostKey {host}\nAuthorizedKeysFile {keys}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication yes\nPermitRootLogin yes\n\
             AcceptEnv GIT_PROTOCOL\nPermitUserEnvironment no\nLogLevel QUIET\nPrintMotd no\nPrintLastLog no\n\
             ForceCommand PATH={exec_path}:$PATH HOME=/nonexistent GIT_CONFIG_GLOBAL={gitconfig} GIT_CONFIG_NOSYSTEM=1 {exec_path}/git-shell -c \"$SSH_ORIGINAL_COMMAND\"\n",
            host = path("host_key").display(),
            keys = path("authorized_keys").display(),
            gitconfig = path("gitconfig").display(),
        );
        fs::write(path("gitconfig"), "[safe]\n\tdirectory = *\n").expect("a file can be written");
        fs::write(path("sshd_config"), config).expect("a file can be written");
        // Where `sshd` of Debian locks itself into; only root may, and needs to, make it.
        let _ = fs::create_dir_all("/run/sshd");
        let config = path("sshd_config");
        let inetd = Inetd::start(move || {
            let mut command = Command::new("/usr/sbin/sshd");
            command.arg("-i").arg("-f").arg(&config);
            command
        });
        let user = Command::new("id")
            .arg("-un")
            .output()
            .expect("`id` is everywhere")
            .stdout;
        Self {
            inetd,
            root: root.to_owned(),
            user: String::from_utf8_lossy(&user).trim().to_owned(),
            directory,
        }
    }

    /// Returns the URL of a repository.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        let path = self.root.join(repository);
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port(), path.display())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.inetd.port()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).expect("keys are readable")
    }

    /// Returns the private key that is let in.
    #[must_use]
    pub fn client_key(&self) -> String {
        self.read("client_key")
    }

    /// Returns a private key that is not let in at first.
    #[must_use]
    pub fn other_key(&self) -> String {
        self.read("other_key")
    }

    /// Lets the other key in from now on, and the first one no more.
    ///
    /// # Panics
    /// If the list of keys cannot be written.
    pub fn let_in_only_the_other_key(&self) {
        let path = |name: &str| self.directory.path().join(name);
        // At once: a connection may be reading it.
        fs::copy(path("other_key.pub"), path("new_keys")).expect("keys can be copied");
        fs::rename(path("new_keys"), path("authorized_keys")).expect("the list can be replaced");
    }

    /// Returns the server's keys, as a client pins them.
    #[must_use]
    pub fn known_hosts(&self) -> String {
        self.entry("host_key.pub")
    }

    /// Returns an entry with another key for the server.
    #[must_use]
    pub fn wrong_known_hosts(&self) -> String {
        self.entry("other_key.pub")
    }

    fn entry(&self, key: &str) -> String {
        let key = self.read(key);
        let parts: Vec<&str> = key.split(' ').take(2).collect();
        format!("[127.0.0.1]:{} {}\n", self.port(), parts.join(" "))
    }
}

fn keygen(path: &Path) {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .output()
        .expect("tests need ssh-keygen; run `cargo xtask setup`");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
