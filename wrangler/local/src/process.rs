//! A program with all its descendants, as one process group that can be stopped as a whole.
//!
//! wrangler starts node, node starts workerd; killing one of them leaves the others. So the program gets a process
//! group of its own, led by a small shell that also watches a pipe from us: when we are gone, however that came, the
//! pipe ends and the shell stops the group.

use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rustix::process::{Pid, Signal};

/// `$@` runs in the foreground, with no input, because a shell makes background programs deaf to interrupts. The leader
/// catches what stops the program, so that it lives to tell its status. The watcher waits for the end of our pipe with a
/// builtin: a program of its own would be one more process to end.
const LEADER: &str = r#"
exec 3<&0 </dev/null
trap : INT TERM HUP
(
  trap '' INT TERM HUP
  read -r _ <&3
  kill -INT -$$
  sleep 5
  kill -KILL -$$
) >/dev/null 2>&1 4>&- &
watcher=$!
exec 3<&-
"$@"
status=$?
kill -KILL "$watcher" 2>/dev/null
exit "$status"
"#;

/// Comes before [`LEADER`] where the program inherits a socket: it is where the output should be, and becomes 4.
const INHERIT_SOCKET: &str = "exec 4>&1 >&2\n";

const POLL: Duration = Duration::from_millis(20);

/// A running process group. It is killed when dropped.
#[derive(Debug)]
pub struct ProcessGroup {
    leader: Child,
    id: Pid,
    lifeline: Option<ChildStdin>,
    status: Option<ExitStatus>,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable and its arguments; at least one part.
    pub command: Vec<OsString>,
    /// Environment variables on top of ours.
    pub environment: Vec<(String, OsString)>,
    /// Environment variables of ours that it must not see.
    pub hidden: Vec<String>,
}

impl ProcessGroup {
    /// Starts `program` in `folder`; what it prints goes to the end of the file `log`.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(program: &Program, folder: &Path, log: &Path) -> io::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        Self::spawn(program, folder, LEADER, output.try_clone()?.into(), output)
    }

    /// The same for a program that accepts the connections of `socket`, which it inherits as file descriptor 4. Those
    /// that come while no program runs wait for the next one.
    ///
    /// # Errors
    /// What the system says.
    pub fn start_with_socket(program: &Program, folder: &Path, log: &Path, socket: &TcpListener) -> io::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let leader = format!("{INHERIT_SOCKET}{LEADER}");
        Self::spawn(program, folder, &leader, OwnedFd::from(socket.try_clone()?).into(), output)
    }

    fn spawn(program: &Program, folder: &Path, script: &str, stdout: Stdio, stderr: File) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).arg("sh").args(&program.command);
        command.current_dir(folder).process_group(0);
        program.hidden.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(program.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr);
        let mut leader = command.spawn()?;
        let lifeline = leader.stdin.take();
        let id = Pid::from_child(&leader);
        Ok(Self { leader, id, lifeline, status: None })
    }

    /// The group's id, which is the process id of its leader.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// The exit status of the program, once it has ended by itself.
    ///
    /// # Errors
    /// What the system says.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.leader.try_wait()?;
        }
        Ok(self.status)
    }

    /// Stops the whole group: an interrupt, then, after `patience`, a kill. Returns once none of its processes is left.
    ///
    /// # Errors
    /// What the system says; `TimedOut` where processes outlive even the kill.
    pub fn stop(&mut self, patience: Duration) -> io::Result<()> {
        self.stop_by(Signal::INT, patience)
    }

    /// The same by a polite request, on which a server first answers what it was asked.
    ///
    /// # Errors
    /// Like [`Self::stop`].
    pub fn drain(&mut self, patience: Duration) -> io::Result<()> {
        self.stop_by(Signal::TERM, patience)
    }

    fn stop_by(&mut self, signal: Signal, patience: Duration) -> io::Result<()> {
        self.signal(signal)?;
        if self.wait_until_gone(patience)? {
            return Ok(());
        }
        self.kill()
    }

    /// Kills the whole group at once, as a power cut would, and returns once it is gone.
    ///
    /// # Errors
    /// Like [`Self::stop`].
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        if self.wait_until_gone(Duration::from_secs(5))? {
            return Ok(());
        }
        let left = format!("processes of group {} are still there after a kill: {:?}", self.id(), members(self.id())?);
        Err(io::Error::new(io::ErrorKind::TimedOut, left))
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::kill_process_group(self.id, signal) {
            // Nobody there to signal: what the caller wants.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn wait_until_gone(&mut self, patience: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + patience;
        loop {
            // Reaps the leader; a zombie would count as a member elsewhere.
            self.ended()?;
            if self.status.is_some() && members(self.id())?.is_empty() {
                self.lifeline = None;
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error}");
        }
    }
}

/// Process ids of the living members of a group. Zombies are dead: where nobody reaps orphans they stay for ever.
///
/// # Errors
/// What the system says.
pub fn members(group: i32) -> io::Result<Vec<i32>> {
    let Ok(processes) = fs::read_dir("/proc") else {
        // No procfs (macOS): the group answers as a whole.
        let is_there = Pid::from_raw(group).is_some_and(|id| rustix::process::test_kill_process_group(id).is_ok());
        return Ok(if is_there { vec![group] } else { Vec::new() });
    };
    let mut found = Vec::new();
    for process in processes {
        let process = process?;
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while we look.
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        if let Some((state, its_group)) = state_and_group(&stat)
            && its_group == group
            && !matches!(state, "Z" | "X")
        {
            found.push(id);
        }
    }
    Ok(found)
}

/// From `/proc/<pid>/stat`: `pid (name) state ppid pgrp …`; the name may hold anything, brackets and spaces too.
fn state_and_group(stat: &str) -> Option<(&str, i32)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> (ProcessGroup, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let program = Program {
            command: ["/bin/sh", "-c", script].map(OsString::from).to_vec(),
            environment: vec![("SHOWN".to_owned(), "yes".into())],
            hidden: vec!["PATH".to_owned()],
        };
        let log = folder.path().join("log");
        (ProcessGroup::start(&program, folder.path(), &log).unwrap(), folder)
    }

    fn wait_for(mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < deadline, "it did not happen within 10 s");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn stop_takes_grandchildren_along() {
        let (mut group, _folder) = start("/bin/sh -c '/bin/sleep 300; :' | /bin/sh -c '/bin/sleep 300; :'");
        // Leader, watcher, program, two shells, two sleepers.
        wait_for(|| members(group.id()).unwrap().len() >= 7);
        let start = Instant::now();
        group.stop(Duration::from_secs(30)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(15), "the interrupt did not reach all of them");
        assert_eq!(members(group.id()).unwrap(), Vec::<i32>::new());
    }

    #[test]
    fn stop_kills_what_ignores_the_interrupt() {
        let (mut group, folder) = start("trap '' INT; echo ready > ready; while :; do /bin/sleep 1; done");
        wait_for(|| folder.path().join("ready").exists());
        group.stop(Duration::from_millis(300)).unwrap();
        assert_eq!(members(group.id()).unwrap(), Vec::<i32>::new());
    }

    #[test]
    fn program_that_ends_is_noticed_with_its_status_and_output() {
        let (mut group, folder) = start("echo out; echo err >&2; echo \"$SHOWN\"; exit 7");
        wait_for(|| group.ended().unwrap().is_some());
        assert_eq!(group.ended().unwrap().unwrap().code(), Some(7));
        assert_eq!(fs::read_to_string(folder.path().join("log")).unwrap(), "out\nerr\nyes\n");
        group.stop(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn program_inherits_a_socket_that_outlives_it() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let script = "echo to-the-log; test -S /dev/fd/4 && echo a-socket >&2";
        let command = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
        let program = Program { command, environment: Vec::new(), hidden: Vec::new() };
        let log = folder.path().join("log");
        let mut group = ProcessGroup::start_with_socket(&program, folder.path(), &log, &socket).unwrap();
        wait_for(|| group.ended().unwrap().is_some());
        assert_eq!(fs::read_to_string(log).unwrap(), "to-the-log\na-socket\n");
        group.drain(Duration::from_secs(5)).unwrap();
        drop(group);
        std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    }

    #[test]
    fn group_ends_when_its_owner_is_gone() {
        let (mut group, _folder) = start("exec /bin/sleep 300");
        let id = group.id();
        wait_for(|| members(id).unwrap().len() >= 3);
        // What the kernel does with our end of the pipe when we die.
        drop(group.lifeline.take());
        wait_for(|| {
            group.ended().unwrap();
            members(id).unwrap().is_empty()
        });
    }

    #[test]
    fn stat_line_with_a_hostile_name_is_read() {
        assert_eq!(state_and_group("12 (a) R 1 (b)) S 1 77 77 0"), Some(("S", 77)));
        assert_eq!(state_and_group("12 (a"), None);
        assert_eq!(state_and_group(""), None);
    }
}
