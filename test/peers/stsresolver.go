package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// stsTime is how long the resolver may take for all domains, most of which it asks at once and for four seconds each.
const stsTime = time.Minute

// STSResolver asks Debian's postfix-mta-sts-resolver about domains and returns what it would tell Postfix of each, by
// domain: "OK secure match=mx.clinic.test:.example.net", with a leading dot for a wildcard and the names in any order,
// "NOTFOUND " for no policy, one of mode testing or none, and one that it could not have.
//
// dns is the name server to ask, "127.0.0.1:5353", and roots are PEM. The package asks the servers of /etc/resolv.conf
// at port 53 and can be told of no others; so it runs below a few lines that put another into the libraries it asks
// with. Of its own code nothing is changed.
func STSResolver(t testing.TB, dns string, roots []byte, domains ...string) map[string]string {
	t.Helper()
	const packages = "usr/lib/python3/dist-packages" // unpacked, and those that were installed before
	program(t, packages+"/postfix_mta_sts_resolver")
	ip, port, err := net.SplitHostPort(dns)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, "sts")
	ctx, cancel := context.WithTimeout(context.Background(), stsTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "usr/bin/python3"),
		append([]string{"-c", stsDriver, ip, port}, domains...)...)
	cmd.Env = append(environment(t), "PYTHONPATH="+filepath.Join(root(t), packages)+":/"+packages,
		"PYTHONDONTWRITEBYTECODE=1", "SSL_CERT_FILE="+write(t, dir, "roots.pem", roots, 0o644), "SSL_CERT_DIR="+dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	answers := map[string]string{}
	if err == nil {
		err = json.Unmarshal(out, &answers)
	}
	if err != nil {
		t.Fatalf("postfix-mta-sts-resolver: %v\n%s", err, said.String())
	}
	return answers
}

const stsDriver = `
import asyncio, functools, json, sys
import aiodns, aiohttp.connector
from aiohttp.resolver import AsyncResolver
from postfix_mta_sts_resolver import responder, internal_cache, utils

here = dict(nameservers=[sys.argv[1]], udp_port=int(sys.argv[2]), tcp_port=int(sys.argv[2]))
aiohttp.connector.DefaultResolver = functools.partial(AsyncResolver, **here)

async def main():
    loop = asyncio.get_running_loop()
    cfg = utils.populate_cfg_defaults({"default_zone": {"require_sni": False}})
    r = responder.STSSocketmapResponder(cfg, loop, internal_cache.InternalLRUCache())
    r._default_zone.resolver._resolver = aiodns.DNSResolver(loop=loop, timeout=4, **here)
    async def ask(domain):
        answer = await r.process_request(b"postfix " + domain.encode())
        return domain, answer.partition(b":")[2][:-1].decode()
    print(json.dumps(dict(await asyncio.gather(*map(ask, sys.argv[3:])))))

asyncio.run(main())
`
