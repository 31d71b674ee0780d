//! Stateright's Explorer, on a loopback port that only the guard knows.

use shootdown_spec::model::Protocol;
use stateright::Model;
use std::io::{self, Error};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// A running Explorer.
pub(super) struct Explorer {
    address: SocketAddr,
    agent: ureq::Agent,
}

/// Starts it and waits until it answers.
pub(super) fn start(protocol: Protocol) -> io::Result<Explorer> {
    // Stateright prefers files below ./ui to those it was built with. Only embedded assets are
    // to be served, so it runs in a directory that has none: one that does not exist any more.
    let nowhere = std::env::temp_dir().join(format!("shootdown-{}", std::process::id()));
    std::fs::create_dir_all(&nowhere)?;
    std::env::set_current_dir(&nowhere)?;
    std::fs::remove_dir(&nowhere)?;

    // It unwraps its bind, so a port that is free is found first. Losing the race for it shows
    // as an Explorer that does not answer.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    std::thread::Builder::new()
        .name("explorer".into())
        .spawn(move || {
            protocol.checker().threads(1).serve(address);
        })?;
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build();
    let explorer = Explorer {
        address,
        agent: config.into(),
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match explorer.get("/app.css") {
            Ok(_) => return Ok(explorer),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

impl Explorer {
    /// Fetches one of its pages: status code and body.
    pub(super) fn get(&self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        let url = format!("http://{}{path}", self.address);
        let mut response = self.agent.get(&url).call().map_err(Error::other)?;
        let code = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_vec();
        Ok((code, body.map_err(Error::other)?))
    }
}
