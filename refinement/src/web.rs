//! The web server: everything HTTP is behind [`serve`].
//!
//! The page is plain files below `ui/`, compiled in ([`assets`]); what it draws is worked out here by the same code as
//! on the command line and answered as JSON ([`view`] is the contract). Requests are small and answered at once from
//! nothing but their address: a schedule carries its whole configuration, so there are no sessions. What takes longer
//! runs beside the server, searches in turns and the matrix behind them ([`job`], [`turns`], [`matrix`]), and is told
//! as server-sent events.
//!
//! | file | |
//! |---|---|
//! | [`listen`] | the socket: loopback, time limits, an orderly end |
//! | [`clients`] | how many connections, and who makes room |
//! | [`guard`] | `Host`, `Origin`, methods, sizes, the headers of every answer |
//! | [`api`] | one file per address |
//! | [`told`] | the run document: a schedule played as far as it goes |
//! | [`subject`] | specification or real code behind one door |
//! | [`fates`] | can the deadlock still be avoided? |
//! | [`compare`] | one schedule on two sides |
//! | [`bundle`] | a run as one HTML file |
//! | [`page`] | the page of a scenario file |
//! | [`diagnosis`] | console logs |
//! | [`traced`] | traces of a kernel |
//! | [`scenario`] | scenarios that come as text |
//! | [`corpus`] | scenarios that come along |

mod api;
mod assets;
mod bundle;
mod clients;
mod compare;
mod corpus;
mod diagnosis;
mod error;
mod fates;
mod guard;
mod job;
mod listen;
mod lru;
mod matrix;
mod page;
mod scenario;
mod server;
mod stream;
mod subject;
mod told;
mod traced;
mod turns;
mod view;

pub use compare::sides as compared;
pub use listen::serve;
pub use page::serve_page;
pub use server::Settings;
pub use told::Played;
pub use view::run::SubjectName;
