//! The Confidence CDN as a test plays it: it has one object, under the digest of a client secret, with an `ETag`, and knows
//! conditional requests. It listens on loopback only.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use crate::collector::{Answer, Collector, Received};

/// What the CDN does.
enum Play {
    /// It serves these bytes under this tag.
    Serve(Vec<u8>, String),
    /// It answers so, whatever it is asked.
    Answer(Answer),
}

/// A running CDN. Its threads end with the process.
pub struct Cdn {
    server: Collector,
    play: Arc<Mutex<Play>>,
}

impl Cdn {
    /// Starts one that has nothing yet, for the client with this secret. The address may end in `suffix`.
    ///
    /// # Errors
    /// Where there is no port.
    pub fn start(client_secret: &str, suffix: &str) -> io::Result<Self> {
        let digest: String = Sha256::digest(client_secret).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = format!("/{digest}{suffix}");
        let play = Arc::new(Mutex::new(Play::Answer(Answer::status(404))));
        let (server, shared) = (Collector::start()?, Arc::clone(&play));
        server.answer(move |request| answer(request, &path, &shared.lock().unwrap_or_else(PoisonError::into_inner)));
        Ok(Self { server, play })
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// From now on it serves these bytes, under this tag.
    pub fn serve(&self, bytes: &[u8], etag: &str) {
        self.set(Play::Serve(bytes.to_vec(), etag.to_owned()));
    }

    /// From now on it answers so.
    pub fn answer(&self, answer: Answer) {
        self.set(Play::Answer(answer));
    }

    fn set(&self, play: Play) {
        *self.play.lock().unwrap_or_else(PoisonError::into_inner) = play;
    }

    /// What it was asked, in order.
    pub fn received(&self) -> Vec<Received> {
        self.server.received()
    }
}

/// A CDN's answer, as strict as one: another path is 404, another method 405, and whoever shows a secret is told so.
fn answer(request: &Received, path: &str, play: &Play) -> Answer {
    if request.method != "GET" {
        return Answer::status(405);
    }
    if request.path != path {
        return Answer::status(404);
    }
    if !request.header("authorization").is_empty() || !request.body.is_empty() {
        return Answer::status(400);
    }
    match play {
        Play::Answer(answer) => answer.clone(),
        Play::Serve(bytes, etag) => {
            let headers = vec![("ETag".to_owned(), etag.clone())];
            let condition = request.header("if-none-match");
            let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            let is_known = condition.split(',').any(|tag| weak(tag) == weak(etag));
            if is_known {
                Answer::Status(304, headers, Vec::new())
            } else {
                Answer::Status(200, headers, bytes.clone())
            }
        }
    }
}
