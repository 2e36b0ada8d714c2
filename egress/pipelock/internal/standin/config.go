package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

type config struct {
	Version      int      `yaml:"version"`
	Mode         string   `yaml:"mode"`
	Enforce      *bool    `yaml:"enforce"`
	APIAllowlist []string `yaml:"api_allowlist"`
	FetchProxy   struct {
		Listen     string `yaml:"listen"`
		Monitoring struct {
			MaxRequestsPerMinute int `yaml:"max_requests_per_minute"`
		} `yaml:"monitoring"`
	} `yaml:"fetch_proxy"`
	ForwardProxy struct {
		Enabled         bool  `yaml:"enabled"`
		SNIVerification *bool `yaml:"sni_verification"`
	} `yaml:"forward_proxy"`
	TLS struct {
		Enabled            bool     `yaml:"enabled"`
		CACert             string   `yaml:"ca_cert"`
		CAKey              string   `yaml:"ca_key"`
		PassthroughDomains []string `yaml:"passthrough_domains"`
	} `yaml:"tls_interception"`
	Bodies struct {
		Enabled       bool     `yaml:"enabled"`
		Action        string   `yaml:"action"`
		ScanHeaders   bool     `yaml:"scan_headers"`
		HeaderMode    string   `yaml:"header_mode"`
		IgnoreHeaders []string `yaml:"ignore_headers"`
	} `yaml:"request_body_scanning"`
	SSRF struct {
		IPAllowlist []string `yaml:"ip_allowlist"`
	} `yaml:"ssrf"`
	Sentry struct {
		Enabled *bool `yaml:"enabled"`
	} `yaml:"sentry"`

	ca      tls.Certificate
	private []netip.Prefix
}

// load reads one document, refuses what it does not know, and judges values.
func load(path string) (*config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &config{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil {
		return nil, err
	}
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return c, c.judge()
}

func (c *config) judge() error {
	switch {
	case c.Version != 1:
		return fmt.Errorf("version %d", c.Version)
	case !slices.Contains([]string{"strict", "balanced", "audit"}, c.Mode):
		return fmt.Errorf("mode %q", c.Mode)
	case c.Mode == "strict" && len(c.APIAllowlist) == 0:
		return errors.New("strict mode requires api_allowlist")
	case c.Bodies.Action != "block" && c.Bodies.Action != "warn":
		return fmt.Errorf("action %q", c.Bodies.Action)
	case c.Bodies.HeaderMode != "all" && c.Bodies.HeaderMode != "sensitive":
		return fmt.Errorf("header_mode %q", c.Bodies.HeaderMode)
	case c.Sentry.Enabled == nil || *c.Sentry.Enabled:
		return errors.New("sentry would be on")
	}
	if _, _, err := net.SplitHostPort(c.FetchProxy.Listen); err != nil {
		return err
	}
	for _, d := range slices.Concat(c.APIAllowlist, c.TLS.PassthroughDomains) {
		if strings.Contains(strings.TrimPrefix(d, "*."), "*") || d == "" || strings.HasPrefix(d, ".") {
			return fmt.Errorf("domain %q", d)
		}
	}
	for _, text := range c.SSRF.IPAllowlist {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		c.private = append(c.private, p)
	}
	return c.authority()
}

func (c *config) authority() error {
	key, err := os.ReadFile(c.TLS.CAKey)
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(key); block == nil || block.Type != "EC PRIVATE KEY" {
		return errors.New("the CA key is not SEC1")
	}
	info, err := os.Stat(c.TLS.CAKey)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		return errors.New("others can read the CA key")
	}
	if c.ca, err = tls.LoadX509KeyPair(c.TLS.CACert, c.TLS.CAKey); err != nil {
		return err
	}
	if !c.ca.Leaf.IsCA {
		return errors.New("the CA certificate is none")
	}
	return nil
}

// matches is how pipelock reads its lists.
func matches(list []string, host string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		base, wide := strings.CutPrefix(p, "*.")
		return host == base || wide && strings.HasSuffix(host, "."+base)
	})
}
