//! The server behind the page, over real HTTP: what it answers, to whom, and what it withstands.

#[path = "cli/expected.rs"]
mod expected;

mod web {
    mod compare;
    mod diagnose;
    mod export;
    mod garbage;
    mod hour;
    mod lockout;
    mod page;
    mod random;
    mod run;
    mod scenario;
    mod server;
    mod streams;
    mod verdicts;
}
