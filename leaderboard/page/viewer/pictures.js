"use strict";
// Data that is parsed only when it is needed: the runs, and the pictures of the viewer.

/** The content of a block behind the scripts; waits until the page has been read so far. */
async function readBlock(id) {
  if (document.readyState === "loading") {
    await new Promise((done) => document.addEventListener("DOMContentLoaded", done));
  }
  return JSON.parse(document.getElementById(id).textContent);
}

/** The value of node `number` of the packed runs; see `pack_runs`. */
function unpack(nodes, number) {
  const [kind, ...parts] = nodes[number];
  if (kind === 0) return parts[0];
  if (kind === 2) return parts.map((part) => unpack(nodes, part));
  const [keys, ...values] = parts;
  return Object.fromEntries(unpack(nodes, keys).map((key, at) => [key, unpack(nodes, values[at])]));
}

/** The runs of the page, by id. */
class Runs {
  async read(ids) {
    this.block ??= readBlock("runs");
    const { nodes, runs } = await this.block;
    const known = ids.filter((id) => Object.hasOwn(runs, id));
    return new Map(known.map((id) => [id, unpack(nodes, runs[id])]));
  }
}

/** Pictures by name: embedded in the page, or files of a folder beside it. */
class Pictures {
  constructor(folder) {
    this.folder = folder;
    this.images = new Map();
  }

  async addressOf(name) {
    if (this.folder) return `${encodeURIComponent(this.folder)}/${name}`;
    this.block ??= readBlock("pictures");
    const kind = name.endsWith(".png") ? "png" : "jpeg";
    return `data:image/${kind};base64,${(await this.block)[name]}`;
  }

  /** The decoded image. */
  read(name) {
    if (!this.images.has(name)) this.images.set(name, this.load(name));
    return this.images.get(name);
  }

  async load(name) {
    const image = new Image();
    image.src = await this.addressOf(name);
    try {
      await image.decode();
    } catch (error) {
      throw new Error(`${this.folder ? `${this.folder}/` : ""}${name}: ${error.message}`);
    }
    return image;
  }

  /** Forgets the decoded images. */
  clear() {
    this.images.clear();
  }
}
