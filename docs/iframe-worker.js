// SPDX-License-Identifier: Apache-2.0
// Search in a site that is opened from the disk, where browsers start no worker: a hidden frame
// runs the worker's script instead. The theme's own search does the rest: it reads
// search/search_index.js there, and looks for a class of this name when it has to know where its
// scripts lie. Over the network nothing is changed.
(() => {
  if (location.protocol !== "file:") return;

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<!DOCTYPE html><title>search</title><body></body>";
      this.inside = new Promise((begun) => {
        frame.onload = () => {
          const inside = frame.contentWindow;
          // What the script says to its page is heard here, and by nobody else.
          inside.postMessage = (data) =>
            this.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) }));
          const script = inside.document.createElement("script");
          script.src = new URL(url, document.baseURI).href;
          script.onload = () => begun(inside);
          inside.document.body.appendChild(script);
        };
      });
      document.body.appendChild(frame);
      this.frame = frame;
    }

    postMessage(data) {
      const copy = structuredClone(data);
      this.inside.then((inside) =>
        inside.dispatchEvent(new inside.MessageEvent("message", { data: copy })),
      );
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = window.Worker = IFrameWorker;
})();
