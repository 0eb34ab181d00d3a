"use strict";
// Pixels of the viewer: masks over an X-ray frame.

// Distinct for any colour vision: of different lightness, from the palette of Okabe and Ito.
const HIT = [86, 180, 233];
const EXTRA = [213, 94, 0];
const MISSED = [240, 228, 66];

/** The pixels of a picture given as a data URL: {width, height, data} with RGBA bytes. */
async function loadPixels(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Whether each pixel of a width × height grid is vessel; masks of other sizes: nearest pixel. */
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

/** The colour where both are set, only the prediction or only the truth; null elsewhere. */
function differenceColour(truth, prediction) {
  if (prediction) return truth ? HIT : EXTRA;
  return truth ? MISSED : null;
}

/** The frame overlaid with a colour per pixel, at the opacity `strength` (0 … 1). */
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
