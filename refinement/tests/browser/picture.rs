//! Pictures for `docs/images/`: as few colours as a page needs, so that they stay small.

use std::collections::HashMap;
use std::path::Path;

/// Are they to be written?
pub fn wanted() -> bool {
    std::env::var_os("SHOOTDOWN_IMAGES").is_some_and(|v| v == "1")
}

/// Largest picture that goes into the repository.
const LARGEST: usize = 200 << 10;

/// Writes a screenshot with a palette of 256 colours.
pub fn keep(file: &str, screenshot: &[u8]) {
    let small = with_palette(screenshot);
    assert!(small.len() <= LARGEST, "{file} has {} bytes", small.len());
    let place = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/images")
        .join(file);
    std::fs::create_dir_all(place.parent().expect("a directory")).expect("made");
    std::fs::write(place, small).expect("written");
}

/// The picture with 256 colours, every other pixel taking the nearest of them. Shades that hardly
/// differ count as one, so that the many greys of smoothed text do not drive out what is rare.
fn with_palette(screenshot: &[u8]) -> Vec<u8> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(screenshot));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("it fits")];
    let info = reader.next_frame(&mut pixels).expect("an image");
    let size = info.color_type.samples();
    let colour = |p: &[u8]| [p[0], p[1], p[2]];
    let mut seen: HashMap<[u8; 3], u32> = HashMap::new();
    for pixel in pixels[..info.buffer_size()].chunks_exact(size) {
        *seen.entry(colour(pixel)).or_default() += 1;
    }
    let mut colours: Vec<([u8; 3], u32)> = seen.into_iter().collect();
    colours.sort_by_key(|&(c, n)| (std::cmp::Reverse(n), c));
    // Per kind of shade, how often it occurs, and the colour that does most.
    let mut kinds: HashMap<[u8; 3], (u32, [u8; 3])> = HashMap::new();
    for &(c, n) in &colours {
        kinds.entry(c.map(|x| x >> 4)).or_insert((0, c)).0 += n;
    }
    let mut kinds: Vec<(u32, [u8; 3])> = kinds.into_values().collect();
    kinds.sort_by_key(|&(n, c)| (std::cmp::Reverse(n), c));
    // What fills areas is kept to the bit; the rest of the palette goes to kinds of shades.
    let mut palette: Vec<[u8; 3]> = colours.iter().take(96).map(|&(c, _)| c).collect();
    for (_, c) in kinds {
        if palette.len() < 256 && !palette.contains(&c) {
            palette.push(c);
        }
    }
    let distance = |a: [u8; 3], b: [u8; 3]| -> u32 {
        (0..3).map(|i| u32::from(a[i].abs_diff(b[i])).pow(2)).sum()
    };
    let nearest: HashMap<[u8; 3], u8> = colours
        .iter()
        .map(|&(c, _)| {
            let best = (0..palette.len()).min_by_key(|&i| distance(palette[i], c));
            (
                c,
                u8::try_from(best.expect("a colour")).expect("256 colours"),
            )
        })
        .collect();
    let indices: Vec<u8> = pixels[..info.buffer_size()]
        .chunks_exact(size)
        .map(|pixel| nearest[&colour(pixel)])
        .collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, info.width, info.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&indices).expect("pixels");
    writer.finish().expect("an end");
    out
}
