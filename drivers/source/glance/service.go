package glance

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"

	"vmplan.dev/vmplan/drivers"
	web "vmplan.dev/vmplan/drivers/source/http"
)

// environment is the name of the cloud whose login the OS_… variables are, as other programs of OpenStack call it.
const environment = "envvars"

// service is an image service that was logged in to.
type service struct {
	client *gophercloud.ServiceClient
	bits   *web.Source
}

// service gives the service of a location, which is logged in to once.
func (s *Source) service(ctx context.Context, at location) (*service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if svc := s.services[at.prefix]; svc != nil {
		return svc, nil
	}
	svc, err := s.connect(ctx, at)
	if err != nil {
		return nil, err
	}
	s.services[at.prefix] = svc
	return svc, nil
}

func (s *Source) connect(ctx context.Context, at location) (*service, error) {
	if at.endpoint != "" {
		return s.anonymous(at.endpoint), nil
	}
	auth, where, security, err := s.login(at.cloud)
	if err != nil {
		return nil, err
	}
	transport := plainTransport(security)
	provider, err := openstack.NewClient(auth.IdentityEndpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: cloud %q has no valid auth_url", drivers.ErrUnusable, at.cloud)
	}
	provider.HTTPClient = http.Client{Transport: transport, CheckRedirect: keepLogin}
	auth.AllowReauth = true // tokens expire, also in the middle of a download
	if err := openstack.Authenticate(ctx, provider, auth); err != nil {
		return nil, refused("log in to "+host(auth.IdentityEndpoint), err)
	}
	client, err := openstack.NewImageV2(provider, where)
	if err != nil {
		return nil, fmt.Errorf("%w: cloud %q lists no image service, or none in region %q", drivers.ErrUnusable, at.cloud, where.Region)
	}
	svc := &service{client: client}
	svc.readBits(s.options, transport)
	return svc, nil
}

// keepLogin refuses redirects to other servers, and from https to http: password and token would go along.
func keepLogin(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	if req.URL.Hostname() != from.Hostname() || from.Scheme == "https" && req.URL.Scheme != "https" || len(via) >= 10 {
		return fmt.Errorf("%w: the server sends us on to %s://%s, where a login does not go", drivers.ErrUnusable, req.URL.Scheme, req.URL.Host)
	}
	return nil
}

func (s *Source) anonymous(endpoint string) *service {
	transport := plainTransport(nil)
	client := &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{HTTPClient: http.Client{Transport: transport}},
		Endpoint:       endpoint, ResourceBase: endpoint + "v2/",
	}
	svc := &service{client: client}
	svc.readBits(s.options, transport)
	return svc
}

// plainTransport is Go's with the security of the cloud's settings.
func plainTransport(security *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // ranges and digests are of the image, not of a packed form of it
	if security != nil {
		t.TLSClientConfig = security
	}
	return t
}

// login finds out how to log in: as clouds.yaml says of the cloud, or the environment does.
func (s *Source) login(cloud string) (gophercloud.AuthOptions, gophercloud.EndpointOpts, *tls.Config, error) {
	if cloud == "" {
		cloud = os.Getenv("OS_CLOUD")
	}
	var options []clouds.ParseOption
	switch {
	case cloud == "" || cloud == environment:
		if os.Getenv("OS_AUTH_URL") == "" {
			return gophercloud.AuthOptions{}, gophercloud.EndpointOpts{}, nil,
				fmt.Errorf("%w: neither the location nor OS_CLOUD names a cloud of clouds.yaml, and there is no OS_AUTH_URL", drivers.ErrUnusable)
		}
		text, err := json.Marshal(fromEnvironment())
		if err != nil {
			return gophercloud.AuthOptions{}, gophercloud.EndpointOpts{}, nil, err
		}
		// JSON is YAML. There is nothing secret in another file then.
		cloud, options = environment, append(options, clouds.WithCloudsYAML(strings.NewReader(string(text))), clouds.WithSecureYAML(strings.NewReader("{}")))
	case os.Getenv("OS_CLIENT_CONFIG_FILE") == "":
		options = append(options, clouds.WithLocations(s.cloudFiles()...))
	}
	auth, where, security, err := clouds.Parse(append(options, clouds.WithCloudName(cloud))...)
	if err != nil {
		return auth, where, security, fmt.Errorf("%w: %s", drivers.ErrUnusable, quoted.ReplaceAllString(err.Error(), "`…`"))
	}
	return auth, where, security, nil
}

// quoted is what errors about YAML show of a file that passwords are in.
var quoted = regexp.MustCompile("(?s)`.*`")

// cloudFiles is where clouds.yaml can be.
func (s *Source) cloudFiles() []string {
	places := []string{s.options.Dir}
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		places = append(places, filepath.Join(dir, "openstack"))
	} else if home, err := os.UserHomeDir(); err == nil {
		places = append(places, filepath.Join(home, ".config", "openstack"))
	}
	places = append(places, "/etc/openstack")
	for i, dir := range places {
		places[i] = filepath.Join(dir, "clouds.yaml")
	}
	return places
}

// fromEnvironment is the cloud that the OS_… variables describe.
func fromEnvironment() clouds.Clouds {
	first := func(names ...string) string {
		for _, name := range names {
			if v := os.Getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	verify := first("OS_INSECURE") == "" || strings.EqualFold(first("OS_INSECURE"), "false") || first("OS_INSECURE") == "0"
	return clouds.Clouds{Clouds: map[string]clouds.Cloud{environment: {
		RegionName: first("OS_REGION_NAME"),
		Interface:  first("OS_INTERFACE", "OS_ENDPOINT_TYPE"),
		Verify:     &verify,
		CACertFile: first("OS_CACERT"), ClientCertFile: first("OS_CERT"), ClientKeyFile: first("OS_KEY"),
		AuthInfo: &clouds.AuthInfo{
			AuthURL:  first("OS_AUTH_URL"),
			Username: first("OS_USERNAME"), UserID: first("OS_USER_ID", "OS_USERID"), Password: first("OS_PASSWORD"), Token: first("OS_TOKEN"),
			ApplicationCredentialID: first("OS_APPLICATION_CREDENTIAL_ID"), ApplicationCredentialName: first("OS_APPLICATION_CREDENTIAL_NAME"),
			ApplicationCredentialSecret: first("OS_APPLICATION_CREDENTIAL_SECRET"),
			ProjectName:                 first("OS_PROJECT_NAME", "OS_TENANT_NAME"), ProjectID: first("OS_PROJECT_ID", "OS_TENANT_ID"),
			UserDomainName: first("OS_USER_DOMAIN_NAME"), UserDomainID: first("OS_USER_DOMAIN_ID"),
			ProjectDomainName: first("OS_PROJECT_DOMAIN_NAME"), ProjectDomainID: first("OS_PROJECT_DOMAIN_ID"),
			DomainName: first("OS_DOMAIN_NAME"), DomainID: first("OS_DOMAIN_ID"), SystemScope: first("OS_SYSTEM_SCOPE"),
		},
	}}}
}

// tokenTransport adds the login's token to requests for the service's own host, and logs in again when it has expired.
type tokenTransport struct {
	base    http.RoundTripper
	service *service
}

// RoundTrip implements http.RoundTripper.
func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	provider := t.service.client.ProviderClient
	token := provider.Token()
	resp, err := t.base.RoundTrip(t.withToken(req, token))
	if err != nil || resp.StatusCode != http.StatusUnauthorized || token == "" {
		return resp, err
	}
	if err := provider.Reauthenticate(req.Context(), token); err != nil {
		return nil, errors.Join(refused("log in again", err), resp.Body.Close())
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	return t.base.RoundTrip(t.withToken(req, provider.Token()))
}

// withToken is the request as it is sent. A token is for the service alone, and not for where it redirects to.
func (t *tokenTransport) withToken(req *http.Request, token string) *http.Request {
	if token == "" || req.URL.Host != host(t.service.client.Endpoint) {
		return req
	}
	out := req.Clone(req.Context())
	out.Header.Set("X-Auth-Token", token)
	return out
}
