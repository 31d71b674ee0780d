//! Commands as the documents have them.
//!
//! - In a fence marked `sh`, a line that begins with `shootdown` or `cargo run --release --` is a command. A comment
//!   `# exits N` behind it says how it must exit; otherwise 0 and 1 will do, which are verdicts.
//! - `<!-- heavy: ran by .ci/run -->` above a fence: its commands take too long for a test; `.ci/run` has them.
//!   `<!-- heavy: ran by .ci/run: matrix, stress -->` says so of these subcommands only.
//! - `<!-- heavy: a cell of the matrix -->`: `matrix` runs it, and docs/claims.md has it.
//! - `<!-- output -->` above a fence marked `text`: the command before it prints this. `…` in a line stands for anything,
//!   as a line for any number of lines.
//! - `` `shootdown ...` `` in running text is a command that must at least be one.

/// Who runs what is too heavy for a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heavy {
    /// `.ci/run`, by name.
    Ci,
    /// `matrix`: it is one of its cells.
    Cell,
}

/// A command of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Line of the document, from 1.
    pub line: usize,
    /// Its arguments, without the name of the binary.
    pub arguments: Vec<String>,
    /// How it must exit, if the document says.
    pub exits: Option<i32>,
    /// Who runs it, if it is too heavy for a test.
    pub heavy: Option<Heavy>,
    /// What it prints, if the document says.
    pub output: Option<String>,
}

/// Every command in fences, in order.
pub fn fenced(text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let (mut marker, mut fence) = (String::new(), None::<(String, String)>);
    let mut body = String::new();
    for (n, line) in text.lines().enumerate() {
        match (&fence, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                fence = Some((kind.trim().to_string(), std::mem::take(&mut marker)));
                body.clear();
            }
            (Some((kind, marker)), Some(_)) => {
                if kind == "text" && marker == "output" {
                    let last = commands
                        .last_mut()
                        .expect("an output has a command above it");
                    last.output = Some(body.clone());
                }
                fence = None;
            }
            (Some((kind, marker)), None) => {
                if kind == "sh"
                    && let Some(command) = command(line, n + 1, marker)
                {
                    commands.push(command);
                }
                body += line;
                body.push('\n');
            }
            (None, None) => {
                let comment = line
                    .trim()
                    .strip_prefix("<!--")
                    .and_then(|l| l.strip_suffix("-->"));
                match comment {
                    Some(comment) => marker = comment.trim().to_string(),
                    None if line.trim().is_empty() => {}
                    None => marker.clear(),
                }
            }
        }
    }
    commands
}

fn command(line: &str, n: usize, marker: &str) -> Option<Command> {
    let line = line.trim_start().trim_start_matches("$ ");
    let (line, comment) = uncommented(line);
    let rest = ["shootdown", "cargo run --release --"]
        .iter()
        .find_map(|name| line.strip_prefix(name))
        // The explorer, which is what no arguments mean.
        .or_else(|| (line == "cargo run --release").then_some(""))?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let arguments = words(rest);
    let exits = comment
        .strip_prefix("exits ")
        .and_then(|c| c.split([',', ':', ' ']).next()?.parse().ok());
    let cell = marker == "heavy: a cell of the matrix";
    let listed = marker
        .strip_prefix("heavy: ran by .ci/run")
        .is_some_and(|of| {
            let of: Vec<_> = of
                .trim_start_matches(':')
                .split(',')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .collect();
            of.is_empty() || arguments.first().is_some_and(|a| of.contains(&a.as_str()))
        });
    Some(Command {
        line: n,
        arguments,
        exits,
        heavy: match (cell, listed) {
            (true, _) => Some(Heavy::Cell),
            (_, true) => Some(Heavy::Ci),
            _ => None,
        },
        output: None,
    })
}

/// A line of shell and the comment behind it.
fn uncommented(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '#' if !quoted && line[..at].ends_with(' ') => {
                return (line[..at].trim_end(), line[at + 1..].trim());
            }
            _ => {}
        }
    }
    (line.trim_end(), "")
}

/// Words as a shell has them; single quotes are enough here.
pub fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                any = true;
            }
            c if c.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        all.push(word);
    }
    all
}

/// Every `` `shootdown ...` `` in running text, with its line.
pub fn inline(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut commands = Vec::new();
    // A span may go on in the next line; fences are not running text.
    let mut fence = false;
    let mut running = String::new();
    for line in text.lines() {
        fence ^= line.starts_with("```");
        if !fence && !line.starts_with("```") {
            running += line;
        }
        running.push('\n');
    }
    let mut line = 1;
    for (n, span) in running.split('`').enumerate() {
        let rest = ["shootdown ", "cargo run --release -- "]
            .iter()
            .find_map(|p| span.strip_prefix(p));
        if n % 2 == 1
            && let Some(rest) = rest
        {
            commands.push((line, words(rest)));
        }
        line += span.matches('\n').count();
    }
    commands
}

/// Does the output have these lines? `…` is anything.
pub fn matches(expected: &str, output: &str) -> bool {
    let expected: Vec<_> = expected.lines().map(str::trim_end).collect();
    let output: Vec<_> = output.lines().map(str::trim_end).collect();
    any_lines(&expected, &output)
}

fn any_lines(expected: &[&str], output: &[&str]) -> bool {
    match expected {
        [] => output.is_empty(),
        ["…"] => true,
        ["…", rest @ ..] => (0..=output.len()).any(|skip| any_lines(rest, &output[skip..])),
        [line, rest @ ..] => match output {
            [first, more @ ..] => like(line, first) && any_lines(rest, more),
            [] => false,
        },
    }
}

fn like(expected: &str, line: &str) -> bool {
    let mut pieces = expected.split('…');
    let Some(mut rest) = pieces.next().and_then(|head| line.strip_prefix(head)) else {
        return false;
    };
    let mut pieces: Vec<_> = pieces.collect();
    let Some(tail) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(tail)
}
