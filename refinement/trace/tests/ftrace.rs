//! Kernel traces: the kept recordings, recordings with something done to them, shapes of other kernels, and bad input.

#[path = "ftrace/docs.rs"]
mod docs;
#[path = "ftrace/edited.rs"]
mod edited;
#[path = "ftrace/kept.rs"]
mod kept;
#[path = "ftrace/mutated.rs"]
mod mutated;
#[path = "ftrace/recorder.rs"]
mod recorder;
#[path = "ftrace/recordings.rs"]
mod recordings;
#[path = "ftrace/shapes.rs"]
mod shapes;
#[path = "ftrace/small.rs"]
mod small;
