//! The demo: everything built, workerd running, one address to open.

use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lexopt::Arg::{Long, Short};
use lexopt::ValueExt;

use crate::storage::Storage;
use crate::workerd::{self, Stopped, Workerd};
use crate::{build, setup, workspace};

const HELP: &str = "\
Sets up, builds, starts the edge worker on workerd with its storage on disk, and prints the address of the demo page.
Ctrl-C stops it. What was written is there again at the next start.

Usage: cargo xtask demo [OPTIONS]

Options:
  --port N   port on 127.0.0.1, 0 for any free one (default 8787)
  --fresh    empty the storage first
  --check    start on a free port with empty storage of its own, ask for the page, the wasm and /healthz, and stop

Storage: .headwater/ in the repository.
";

const PORT_DEFAULT: u16 = 8787;
const HEALTHY_MS_MAX: u64 = 15_000;
const HEALTHY_POLL_MS: u64 = 50;
const REQUEST_SECONDS_MAX: u64 = 5;

struct Options {
    port: u16,
    fresh: bool,
    check: bool,
}

pub fn main(args: lexopt::Parser) -> Result<()> {
    let Some(options) = parse(args)? else {
        print!("{HELP}");
        return Ok(());
    };
    if options.port != 0 && workerd::is_busy(options.port) {
        bail!("port {} is taken; choose another with `--port N`, or any free one with `--port 0`", options.port);
    }
    setup::for_building()?;
    build::build()?;
    if options.check { check(options.port).map(|figures| println!("{figures}")) } else { serve(&options) }
}

fn parse(mut args: lexopt::Parser) -> Result<Option<Options>> {
    let (mut port, mut fresh, mut check) = (None, false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("port") => port = Some(args.value()?.parse()?),
            Long("fresh") => fresh = true,
            Long("check") => check = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let port = port.unwrap_or(if check { 0 } else { PORT_DEFAULT });
    Ok(Some(Options { port, fresh, check }))
}

/// Why the demo comes to its end.
enum End {
    Asked,
    WorkerdEnded,
}

fn serve(options: &Options) -> Result<()> {
    let storage = Storage::claim(&workspace::path(".headwater"))?;
    if options.fresh {
        storage.empty()?;
    }
    let (sender, ends) = channel();
    stop_on_signals(sender.clone())?;
    let workerd = Workerd::start(storage, options.port, sender, End::WorkerdEnded)?;
    println!("demo: workerd listens, waiting for the worker");
    let healthy = await_healthy(&workerd.url());
    if healthy.is_ok() {
        println!("\n  Headwater demo: {}/\n", workerd.url());
        println!("  Storage is kept in .headwater/ (`--fresh` empties it). Ctrl-C stops.\n");
        ends.recv().context("nobody is left to end the demo")?;
        println!("\ndemo: stopping workerd");
    }
    say_stopped(workerd.stop()?)?;
    healthy
}

/// Starts, asks for what a visitor would load, and stops.
pub fn check(port: u16) -> Result<String> {
    let begin = Instant::now();
    let home = workspace::scratch().join(format!("demo-check-{}", std::process::id()));
    let storage = Storage::claim(&home)?;
    let (sender, _ends) = channel();
    let workerd = Workerd::start(storage, port, sender, End::WorkerdEnded)?;
    let url = workerd.url();
    let visited = await_healthy(&url).and_then(|()| visit(&url));
    say_stopped(workerd.stop()?)?;
    fs::remove_dir_all(&home).with_context(|| format!("removing {}", home.display()))?;
    let bytes = visited?;
    Ok(format!(
        "demo: {} files, {bytes} bytes served, started and stopped in {} ms",
        FILES.len(),
        begin.elapsed().as_millis()
    ))
}

/// What a visitor loads, and the type it must come as.
const FILES: [(&str, &str); 3] =
    [("/", "text/html"), ("/main.js", "text/javascript"), ("/headwater.wasm", "application/wasm")];

fn visit(url: &str) -> Result<usize> {
    let mut bytes = 0;
    for (path, media_type) in FILES {
        let response = get(url, path)?;
        ensure!(response.status_code == 200, "{path} answered {}", response.status_code);
        let is = response.headers.get("content-type").map_or("no type", String::as_str);
        ensure!(is.starts_with(media_type), "{path} came as {is}, not as {media_type}");
        bytes += response.as_bytes().len();
    }
    Ok(bytes)
}

fn await_healthy(url: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_millis(HEALTHY_MS_MAX);
    loop {
        let answer = get(url, "/healthz");
        match answer {
            Ok(response) if response.status_code == 200 => return Ok(()),
            _ if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(HEALTHY_POLL_MS)),
            Ok(response) => {
                bail!(
                    "/healthz still answers {} after {HEALTHY_MS_MAX} ms: {}",
                    response.status_code,
                    response.as_str()?
                )
            }
            Err(error) => {
                return Err(error.context(format!("/healthz does not answer after {HEALTHY_MS_MAX} ms")));
            }
        }
    }
}

fn get(url: &str, path: &str) -> Result<minreq::Response> {
    let request = minreq::get(format!("{url}{path}")).with_timeout(REQUEST_SECONDS_MAX);
    request.send().with_context(|| format!("asking for {path}"))
}

fn stop_on_signals(ends: Sender<End>) -> Result<()> {
    ctrlc::set_handler(move || {
        // A second signal finds us stopping already.
        let _ = ends.send(End::Asked);
    })
    .context("could not listen for Ctrl-C")
}

fn say_stopped(stopped: Stopped) -> Result<()> {
    match stopped {
        Stopped::Drained => println!("demo: workerd stopped"),
        Stopped::Cut => {
            println!("demo: workerd stopped; pages that are still open reconnect when it is back")
        }
        Stopped::Before(status) => bail!("workerd ended by itself, with {status}"),
    }
    Ok(())
}
