package ocitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const issuer, service = "tests", "registry"

// tokens is a token server as Docker's specification has it: it takes a login and gives a signed token for what is asked.
type tokens struct {
	users       map[string]string
	key         *ecdsa.PrivateKey
	certificate []byte
}

// serveTokens starts a token server and gives the section of a registry's configuration that trusts it.
func serveTokens(dir string, users map[string]string) (text string, stop func(), err error) {
	s := &tokens{users: users}
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return "", nil, err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if s.certificate, err = x509.CreateCertificate(rand.Reader, about, about, &s.key.PublicKey, s.key); err != nil {
		return "", nil, err
	}
	bundle := filepath.Join(dir, "tokens.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		return "", nil, err
	}
	web := httptest.NewServer(s)
	return fmt.Sprintf("auth: {token: {realm: %q, service: %s, issuer: %s, rootcertbundle: %s}}\n", web.URL+"/token", service, issuer, bundle), web.Close, nil
}

// ServeHTTP gives a token to those who log in; others get one that allows nothing.
func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, password, given := r.BasicAuth()
	if given && s.users[name] != password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	allowed := []access{}
	for _, scope := range r.URL.Query()["scope"] {
		if part := strings.Split(scope, ":"); given && len(part) == 3 {
			allowed = append(allowed, access{part[0], part[1], strings.Split(part[2], ",")})
		}
	}
	now := time.Now().Unix()
	token, err := s.sign(map[string]any{
		"iss": issuer, "aud": service, "sub": name, "exp": now + 3600, "nbf": now - 60, "iat": now, "jti": rand.Text(), "access": allowed,
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
}

func (s *tokens) sign(claims map[string]any) (string, error) {
	header := map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.certificate)}}
	var parts []string
	for _, part := range []any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	signed := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(signed))
	r, sig, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), sig.FillBytes(make([]byte, 32))...)), nil
}
