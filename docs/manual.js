// Search where the manual is read from a disk: browsers start no worker there. This one runs the worker's program in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      (document.body || document.documentElement).append(frame);
      this.inner = frame.contentWindow;
      this.inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
      this.inner.importScripts = (...addresses) => addresses.reduce((before, each) => before.then(() => this.load(each)), Promise.resolve());
      this.load(address).then(() => {
        this.ready = true;
        this.waiting.forEach(data => this.postMessage(data));
      });
    }

    load(address) {
      return new Promise((loaded, failed) => {
        const script = this.inner.document.createElement("script");
        Object.assign(script, { src: new URL(address, document.baseURI).href, onload: loaded, onerror: failed });
        this.inner.document.head.append(script);
      });
    }

    postMessage(data) {
      if (this.ready) this.inner.dispatchEvent(new this.inner.MessageEvent("message", { data }));
      else this.waiting.push(data);
    }

    terminate() {}
  };
}
