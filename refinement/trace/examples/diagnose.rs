//! Prints the diagnosis of each file: for work on the reader itself.

use std::io::BufReader;

fn main() {
    for file in std::env::args().skip(1) {
        let input = std::fs::File::open(&file).expect("a file");
        match shootdown_trace::console::read(BufReader::new(input)) {
            Ok(diagnosis) => println!(
                "== {file}\n{}",
                shootdown_trace::console::text::report(&diagnosis, 110)
            ),
            Err(error) => println!("== {file}\n{error}"),
        }
    }
}
