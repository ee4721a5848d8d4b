//! The two things that differ between operating systems: asking a process to end, and being root.

use std::process::{Child, Command};

use anyhow::Result;

/// Keeps Ctrl-C in our terminal from reaching the child: we stop it ourselves, in order.
#[cfg(unix)]
pub fn detach_from_terminal(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
pub fn detach_from_terminal(_command: &mut Command) {}

/// Asks the child to end in its own time.
#[cfg(unix)]
pub fn ask_to_end(child: &mut Child) -> Result<()> {
    use nix::sys::signal::{Signal, kill};
    let id = i32::try_from(child.id()).expect("process ids fit pid_t");
    Ok(kill(nix::unistd::Pid::from_raw(id), Signal::SIGTERM)?)
}

#[cfg(not(unix))]
pub fn ask_to_end(child: &mut Child) -> Result<()> {
    Ok(child.kill()?)
}

#[cfg(unix)]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(not(unix))]
pub fn is_root() -> bool {
    false
}
