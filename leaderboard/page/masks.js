"use strict";
// Pixels of the viewer: masks over an X-ray frame.

// Told apart with any colour vision: of different lightness, from the palette of Okabe and Ito.
const HIT = [86, 180, 233];
const EXTRA = [213, 94, 0];
const MISSED = [240, 228, 66];

/** The pixels of a picture given as a data address: {width, height, data} with RGBA bytes. */
async function loadPixels(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Is the vessel at each pixel of a width × height grid? Masks of another size: nearest pixel. */
function maskBits(pixels, width, height) {
  const bits = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const from = Math.floor(((y + 0.5) * pixels.height) / height) * pixels.width;
    for (let x = 0; x < width; x += 1) {
      const at = 4 * (from + Math.floor(((x + 0.5) * pixels.width) / width));
      bits[y * width + x] = pixels.data[at] > 127 ? 1 : 0;
    }
  }
  return bits;
}

/** Where both are set, only the prediction, only the truth; null elsewhere. */
function differenceColour(truth, prediction) {
  if (prediction) return truth ? HIT : EXTRA;
  return truth ? MISSED : null;
}

/** The frame with a colour per pixel over it; `strength` 0 … 1 is the opacity of the colours. */
function paintOver(frame, colourAt, strength) {
  const result = new ImageData(new Uint8ClampedArray(frame.data), frame.width, frame.height);
  for (let index = 0; index < frame.width * frame.height; index += 1) {
    const colour = colourAt(index);
    if (!colour) continue;
    for (let channel = 0; channel < 3; channel += 1) {
      const at = 4 * index + channel;
      result.data[at] = (1 - strength) * frame.data[at] + strength * colour[channel];
    }
  }
  return result;
}

function putPixels(canvas, pixels) {
  [canvas.width, canvas.height] = [pixels.width, pixels.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.putImageData(pixels, 0, 0);
}
