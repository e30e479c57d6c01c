package traefik

import (
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/spelling"
)

// dnsProviders are the names of those whose DNS servers lego 4.33 can write to,
// by which Traefik answers an ACME server's DNS challenge:
// https://go-acme.github.io/lego/dns.
var dnsProviders = strings.Fields(`
acme-dns acmedns active24 alidns aliesa allinkl alwaysdata anexia artfiles arvancloud auroradns autodns
axelname azion azure azuredns baiducloud beget binarylane bindman bluecat bluecatv2 bookmyname brandit bunny
checkdomain civo clouddns cloudflare cloudns cloudru cloudxns com35 conoha conohav3 constellix corenetworks
cpanel czechia ddnss derak desec designate digitalocean directadmin dnsexit dnshomede dnsimple dnsmadeeasy
dnspod dode domainnameshop domeneshop dreamhost duckdns dyn dyndnsfree dynu easydns edgecenter edgedns edgeone
efficientip epik eurodns excedo exec exoscale f5xc fastdns freemyip gandi gandiv5 gcloud gcore gigahostno
glesys godaddy googledomains gravity hetzner hostingde hostinger hostingnl hosttech httpnet httpreq
huaweicloud hurricane hyperone ibmcloud iij iijdpf infoblox infomaniak internetbs inwx ionos ionoscloud ipv64
ispconfig ispconfigddns iwantmyname jdcloud joker keyhelp leaseweb liara lightsail limacity linode linodev4
liquidweb loopia luadns mailinabox manageengine metaname metaregistrar mijnhost mittwald myaddr mydnsjp
mythicbeasts namecheap namedotcom namesilo namesurfer nearlyfreespeech neodigit netcup netlify nicmanager
nicru nifcloud njalla nodion ns1 octenium oraclecloud otc ovh pdns plesk porkbun rackspace rainyun rcodezero
regfish regru rfc2136 rimuhosting route53 safedns sakuracloud scaleway selectel selectelv2 selfhostde
servercow shellrent simply sonic spaceship stackpath syse technitium tencentcloud timewebcloud todaynic
transip ultradns uniteddomains variomedia vegadns vercel versio vinyldns virtualname vkcloud volcengine vscale
vultr webnames webnamesca webnamesru websupport wedos westcn yandex yandex360 yandexcloud zoneedit zoneee
zonomi
`)

// unknownProvider is what to say of a provider that is none of these: one that
// a later release knows may be meant.
func unknownProvider(name string) string {
	if name == "" || slices.Contains(dnsProviders, name) {
		return ""
	}
	text := "tls.provider: " + name + " is none of the DNS providers that are known here"
	if near := spelling.Nearest(name, dnsProviders); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}
