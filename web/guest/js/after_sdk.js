// The SDK has loaded, or failed to: give back what before_sdk.js took away.

window.URL = window.sdkNeedsNo.URL;
delete window.sdkNeedsNo;
