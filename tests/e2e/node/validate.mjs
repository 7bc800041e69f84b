// Judges callbacks as an application server in Node does: standard input holds a list of requests, standard output gets
// a list of true and false.
import twilio from 'twilio';

let text = '';
for await (const chunk of process.stdin) text += chunk;
const { authToken, requests } = JSON.parse(text);
const judged = requests.map(({ signature, url, params }) => twilio.validateRequest(authToken, signature, url, params));
process.stdout.write(JSON.stringify(judged));
