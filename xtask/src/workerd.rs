//! workerd with the edge worker in it: started, awaited, ended. Knows nothing of what the worker does.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::storage::Storage;
use crate::{command, process, workspace};

/// How long workerd may take to finish the requests it has. It would wait for open WebSockets without end, so this is
/// the usual way out while a page is open; what the worker answered for is on disk at any time.
const STOP_MS_MAX: u64 = 1_000;
const STOP_POLL_MS: u64 = 20;

/// The program itself, without the script around it that npm packages bring.
pub fn binary() -> Result<PathBuf> {
    let script = "const workerd = require('workerd'); console.log(workerd.default ?? workerd)";
    let binary = PathBuf::from(command::read(command::node().args(["-e", script]))?);
    if !binary.is_file() {
        bail!("npm brought no workerd for this machine; the npm package `workerd` says which platforms there are");
    }
    Ok(binary)
}

pub struct Workerd {
    child: Child,
    pub port: u16,
}

impl Workerd {
    /// Starts on loopback at `port`, or at a free one for 0. `on_end` is told when it ends, for whatever reason.
    pub fn start<E: Send + 'static>(storage: Storage, port: u16, on_end: Sender<E>, ended: E) -> Result<Workerd> {
        let mut serve = command::at_root(binary()?);
        serve
            .args(["serve", "worker/headwater.capnp", "--control-fd=1"])
            .arg(format!("--directory-path=storage={}", storage.directory().display()))
            .arg(format!("--directory-path=www={}", workspace::path("www/dist").display()))
            .arg(format!("--socket-addr=http=127.0.0.1:{port}"))
            .stdin(storage.into_stdin())
            .stdout(Stdio::piped());
        process::detach_from_terminal(&mut serve);
        let mut child = serve.spawn().context("could not start workerd")?;
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output was piped just above"));
        let Some(port) = await_port(&mut stdout)? else {
            bail!("workerd ended with {} before it listened", child.wait()?);
        };
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                println!("{line}");
            }
            // Nobody listens any more once we are stopping.
            let _ = on_end.send(ended);
        });
        Ok(Workerd { child, port })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it to end, waits, and insists in the end. Says which of the two it was.
    pub fn stop(mut self) -> Result<Stopped> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Stopped::Before(status));
        }
        process::ask_to_end(&mut self.child)?;
        let deadline = Instant::now() + Duration::from_millis(STOP_MS_MAX);
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(Stopped::Cut);
            }
            thread::sleep(Duration::from_millis(STOP_POLL_MS));
        }
        Ok(Stopped::Drained)
    }
}

pub enum Stopped {
    Drained,
    /// Connections were still open after `STOP_MS_MAX`.
    Cut,
    /// It had ended by itself.
    Before(ExitStatus),
}

/// Whether something listens on this port of loopback already.
pub fn is_busy(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err()
}

/// workerd reports each socket as a line of JSON once it accepts connections. `None` if it ends instead.
fn await_port(stdout: &mut BufReader<ChildStdout>) -> Result<Option<u16>> {
    let mut line = String::new();
    while stdout.read_line(&mut line).context("reading from workerd")? > 0 {
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        if message["event"] == "listen" && message["socket"] == "http" {
            let port = message["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            return Ok(Some(port.with_context(|| format!("workerd reported {line:?}, without a port"))?));
        }
        print!("{line}");
        line.clear();
    }
    Ok(None)
}
