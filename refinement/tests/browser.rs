//! The page as its users meet it: in a real Chromium without a window, driven over the DevTools protocol.
//!
//! Ignored by default because a browser has to be installed (Debian: `chromium`):
//! `cargo test -p shootdown-refinement --test browser -- --ignored`. A missing browser is a failure
//! then, not a pass. `CHROMIUM` names another binary. With `SHOOTDOWN_IMAGES=1` the tests write the
//! pictures of `docs/images/` again.
//!
//! Every test ends by looking at what the browser complained about: errors on the console,
//! exceptions, requests that failed, violations of the content-security policy.

mod browser {
    mod accessible;
    mod chromium;
    mod compare;
    mod devtools;
    mod explorer;
    mod log;
    mod long_run;
    mod one_file;
    mod picture;
    mod picture_fits;
    mod report;
    mod scenario;
    mod server;
    mod share;
    mod start;
    mod stories;
}
