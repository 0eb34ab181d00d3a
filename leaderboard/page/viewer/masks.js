"use strict";
// Drawing of the viewer: masks and boxes over an X-ray frame. Everything is composed by the canvas
// and no pixel is read: browsers refuse that for pictures beside a page that is a file itself.

// Distinct for any colour vision: of different lightness, from the palette of Okabe and Ito.
const HIT = "rgb(86, 180, 233)";
const EXTRA = "rgb(213, 94, 0)";
const MISSED = "rgb(240, 228, 66)";
const FOUND = "rgb(230, 159, 0)";
/** Pixels of the canvas per pixel of a frame with boxes, so that their lines are thin. */
const BOX_SCALE = 3;

function contextOf(width, height) {
  const canvas = el("canvas", { width, height });
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** A layer of one colour where `mask` is opaque and `other`, if given, is too (or is not). */
function layer({ width, height }, colour, mask, other = null, both = true) {
  const context = contextOf(width, height);
  const put = (image, operation) => {
    context.globalCompositeOperation = operation;
    context.drawImage(image, 0, 0, width, height);
  };
  // Masks of another size than the frame: the nearest pixel.
  context.imageSmoothingEnabled = false;
  put(mask, "source-over");
  if (other) put(other, both ? "source-in" : "destination-out");
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return context.canvas;
}

/** Layers of the pixels where both masks are set, only the prediction, and only the truth. */
function differenceLayers(size, truth, prediction) {
  return [
    layer(size, HIT, prediction, truth),
    layer(size, EXTRA, prediction, truth, false),
    layer(size, MISSED, truth, prediction, false),
  ];
}

/** Draws a frame and the layers over it at the opacity `strength` (0 … 1) onto a canvas. */
function paintLayers(canvas, frame, layers, strength) {
  [canvas.width, canvas.height] = [frame.naturalWidth, frame.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(frame, 0, 0);
  context.globalAlpha = strength;
  for (const one of layers) context.drawImage(one, 0, 0);
}

/** Draws a frame with its true boxes and, dashed and with their scores, those predicted. */
function paintBoxes(canvas, frame, truth, predicted) {
  const scale = BOX_SCALE;
  [canvas.width, canvas.height] = [scale * frame.naturalWidth, scale * frame.naturalHeight];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(frame, 0, 0, canvas.width, canvas.height);
  context.lineWidth = 1.5 * scale;
  context.font = `${9 * scale}px sans-serif`;
  for (const [boxes, colour] of [[truth, HIT], [predicted, FOUND]]) {
    context.strokeStyle = context.fillStyle = colour;
    context.setLineDash(boxes === predicted ? [5 * scale, 3 * scale] : []);
    for (const [left, top, right, bottom, score] of boxes) {
      context.strokeRect(scale * left, scale * top, scale * (right - left), scale * (bottom - top));
      if (score === undefined) continue;
      // Above the box, or inside where that is outside of the frame.
      const line = top > 12 ? top - 3 : top + 11;
      context.fillText(fixed(score), scale * left, scale * line);
    }
  }
}
