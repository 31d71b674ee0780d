// A text inside of a link: deflated, in base64url, with a check. Whatever was changed on the way is found when it is opened.

// Longest text part of a link: what mail programs and chats carry in one piece.
export const LONGEST_LINK = 16000;

// Most characters that a link may unfold to.
const LARGEST = 1 << 20;

// CRC-32 of a text's UTF-8, eight hexadecimal digits.
export function checkOf(text) {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

async function through(bytes, stream, most) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  let length = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    length += part.value.length;
    if (length > most) {
      reader.cancel();
      throw new Error("it unfolds to more than a scenario may have");
    }
    parts.push(part.value);
  }
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

// `{ z, h }` of a text.
export async function fold(text) {
  const bytes = await through(new TextEncoder().encode(text), new CompressionStream("deflate-raw"), Infinity);
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return { z: btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, ""), h: checkOf(text) };
}

// The text of a link; an error says what is wrong with the link.
export async function unfold(z, check) {
  let text;
  try {
    const binary = atob(z.replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
    text = new TextDecoder("utf-8", { fatal: true }).decode(await through(bytes, new DecompressionStream("deflate-raw"), LARGEST));
  } catch (error) {
    throw new Error(`The text in this link cannot be read: it was cut or changed on the way (${error.message}).`);
  }
  if (checkOf(text) !== check) throw new Error("The text in this link is not the one that was shared: its check does not fit.");
  return text;
}
