// Makes a container: "Create Container" of the Blob service's REST API, signed as its "Authorize with Shared Key" says.
const { createHmac } = require("crypto");

const [endpoint, account, key, name] = process.argv.slice(-4);
const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-12-02" };
const named = Object.entries(headers).map(([header, value]) => `${header}:${value}\n`).join("");
// The account twice: of the emulator it is in the path, too.
const text = `PUT${"\n".repeat(12)}${named}/${account}/${account}/${name}\nrestype:container`;
const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
headers.authorization = `SharedKey ${account}:${signature}`;

fetch(`${endpoint}/${name}?restype=container`, { method: "PUT", headers }).then(
    async (answer) => {
        if (!answer.ok) {
            console.error(answer.status, await answer.text());
            process.exitCode = 1;
        }
    },
    (error) => {
        console.error(`${error}: ${error.cause}`);
        process.exitCode = 1;
    },
);
