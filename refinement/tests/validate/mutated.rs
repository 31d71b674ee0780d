//! Every reader of strangers' files gets good ones that were edited at random, and comes back with an answer.

use super::fuzz_corpus::targets;
use super::mutate::each;
use super::{trace, traces};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read as _, Write as _};
use std::path::Path;

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(here(folder))
        .unwrap_or_else(|e| panic!("{folder}: {e}"))
        .map(|f| f.unwrap().path())
        .filter(|p| p.is_file())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder}");
    paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
}

/// So many of its lines, from one on.
fn lines(bytes: &[u8], from: usize, n: usize) -> Vec<u8> {
    let all: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    let from = from.min(all.len());
    all[from..(from + n).min(all.len())].concat()
}

#[test]
fn mutated_traces_are_judged_or_refused() {
    let mut seeds = files("fuzz/corpus/trace");
    for file in std::fs::read_dir(traces()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        // A whole one takes long; the first lines have something of everything.
        seeds.push(lines(trace(&name).as_bytes(), 0, 120));
    }
    seeds.push(trace("tracked-2.ndjson").into_bytes());
    each("trace", &seeds, targets::trace);
}

#[test]
fn mutated_ftraces_are_judged_or_refused() {
    let mut seeds = files("fuzz/corpus/ftrace");
    seeds.extend(
        files("trace/tests/ftrace/shapes")
            .iter()
            .map(|s| lines(s, 0, 300)),
    );
    for packed in files("trace/tests/ftrace") {
        if !packed.starts_with(&[0x1f, 0x8b]) {
            continue;
        }
        let mut text = Vec::new();
        let mut unpack = flate2::read::MultiGzDecoder::new(packed.as_slice());
        unpack.read_to_end(&mut text).expect("it was packed");
        let end = text.split(|&b| b == b'\n').count().saturating_sub(200);
        for window in [lines(&text, 0, 200), lines(&text, end, 200)] {
            let mut pack = GzEncoder::new(Vec::new(), Compression::fast());
            pack.write_all(&window).expect("there is room");
            seeds.extend([pack.finish().expect("there is room"), window]);
        }
    }
    each("ftrace", &seeds, targets::ftrace);
}

#[test]
fn mutated_console_logs_are_diagnosed_or_refused() {
    each("console", &files("trace/tests/cases"), targets::console);
}

#[test]
fn mutated_schedules_are_replayed_or_refused() {
    // The runs that the documents quote, and the corpus.
    let documents = files("../docs");
    let quoted = regex::Regex::new("replay '([^']+)'").unwrap();
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for document in documents {
        let text = String::from_utf8_lossy(&document);
        let runs = quoted.captures_iter(&text);
        seeds.extend(runs.map(|c| c[1].as_bytes().to_vec()));
    }
    assert!(seeds.len() > 10, "the documents have runs");
    let of_code = seeds.iter().map(|s| [b"code:", s.as_slice()].concat());
    seeds = of_code.chain(seeds.clone()).collect();
    seeds.extend(files("fuzz/corpus/schedule"));
    each("schedule", &seeds, targets::schedule);
}
