//! Prints the diagnosis of each file: for work on the reader itself. With `SCENARIO=DIR`, writes scenarios there.

use std::io::BufReader;

fn main() {
    for file in std::env::args().skip(1) {
        let input = std::fs::File::open(&file).expect("a file");
        match shootdown_trace::console::read(BufReader::new(input)) {
            Ok(diagnosis) => {
                println!(
                    "== {file}\n{}",
                    shootdown_trace::console::text::report(&diagnosis, 110)
                );
                if let Ok(folder) = std::env::var("SCENARIO") {
                    let name = std::path::Path::new(&file)
                        .file_stem()
                        .expect("a name")
                        .to_string_lossy()
                        .into_owned();
                    match shootdown_trace::console::scenario::scenario(&diagnosis, &name) {
                        Ok(text) => {
                            std::fs::write(format!("{folder}/{name}.sd"), text).expect("room");
                        }
                        Err(why) => println!("no scenario: {why}"),
                    }
                }
            }
            Err(error) => println!("== {file}\n{error}"),
        }
    }
}
