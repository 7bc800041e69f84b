// The SDK builds a loader for a noise-cancelling plug-in with `new Function` while it loads, which our content policy
// forbids, rightly: nothing on this page is made from text. It leaves that out where there is no `URL`, so there is none
// until it has loaded (after_sdk.js). The plug-in is not used here, and the SDK itself stays as it is published.

window.sdkNeedsNo = { URL: window.URL };
window.URL = undefined;
