// A page that was opened from disk may start no Worker, which the search is.
// An invisible frame of the same page does the work instead.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.documentElement.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => setTimeout(() => this.onmessage?.({ data }));
      const script = inside.document.createElement("script");
      script.src = new URL(url, location.href);
      script.onload = () => {
        this.deliver = (data) => setTimeout(() => inside.onmessage({ data }));
        this.waiting.forEach(this.deliver);
      };
      script.onerror = (event) => this.onerror?.(event);
      inside.document.head.append(script);
    }

    postMessage(data) {
      this.deliver ? this.deliver(data) : this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
}
