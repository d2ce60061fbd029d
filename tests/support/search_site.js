// SPDX-License-Identifier: Apache-2.0
// Search a built documentation site as a page from the disk does, without a browser:
//     node search_site.js SITE QUERY
// prints the addresses that match, best first, as JSON. The site's shim, index and worker run as they
// are; only the few parts of a page that they touch are made up here.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const url = require("node:url");
const vm = require("node:vm");

const [site, query] = process.argv.slice(2);
const base = url.pathToFileURL(path.resolve(site)).href + "/";
const read = (href) => fs.readFileSync(url.fileURLToPath(href), "utf-8");

function newWindow(more) {
  const target = new EventTarget();
  const found = {
    EventTarget, MessageEvent, URL, console, setTimeout, structuredClone,
    addEventListener: target.addEventListener.bind(target),
    dispatchEvent: target.dispatchEvent.bind(target),
    ...more,
  };
  found.window = found.self = found;
  return vm.createContext(found);
}

function newFrame() {
  const inside = newWindow({ parent: page });
  const scripts = [];
  const body = {
    appendChild(script) {
      scripts.push(script);
      vm.runInContext(read(script.src), inside);
      script.onload();
    },
  };
  inside.document = { createElement: () => ({}), querySelector: () => scripts[0], body };
  return { contentWindow: inside };
}

const document = {
  baseURI: base + "index.html",
  createElement: newFrame,
  body: { appendChild: (frame) => setTimeout(() => frame.onload()) },
};
const page = newWindow({ location: { protocol: "file:" }, document });

const html = read(base + "index.html");
const config = JSON.parse(html.match(/<script id="__config"[^>]*>(.*?)<\/script>/s)[1]);
vm.runInContext(read(new URL("iframe-worker.js", base)), page);
vm.runInContext(read(new URL("search/search_index.js", base)), page);

// What the theme's page and worker say to each other, by number.
const [SETUP, READY, QUERY, RESULT] = [0, 1, 2, 3];
const { config: settings, docs } = page.__index;
const worker = new page.Worker(config.search);
worker.addEventListener("message", ({ data }) => {
  if (data.type === READY) worker.postMessage({ type: QUERY, data: query });
  if (data.type === RESULT)
    console.log(JSON.stringify(data.data.items.flat().map((one) => one.location)));
});
const options = { suggest: true };
worker.postMessage({ type: SETUP, data: { config: settings, docs, options } });
