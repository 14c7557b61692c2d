package sim_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/drivertest"
	"vmplan.dev/vmplan/drivers/sim"
)

func conformance(t *testing.T, host *sim.Host, open func(t *testing.T) drivers.Driver) {
	drivertest.Run(t, drivertest.Harness{
		Open: open,
		Nowhere: func(t *testing.T) drivers.Driver {
			d, err := sim.Open(&resource.Host{URI: "sim:///nowhere/at/all/lab.json"}, drivers.Env{})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		PoolPath: "/srv/pools",
		Image:    &resource.Image{Source: "https://example.com/tiny.qcow2"},
		Guest:    true,
		Patience: 5 * time.Second,
		Listing: func(t *testing.T) string {
			data, err := host.Data()
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(data, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		},
	})
}

func TestConformanceInMemory(t *testing.T) {
	host := sim.New()
	conformance(t, host, func(t *testing.T) drivers.Driver {
		d, err := host.Open(nil, drivers.Env{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

func TestConformanceInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.json")
	conformance(t, sim.File(path), func(t *testing.T) drivers.Driver { return openFile(t, path) })
}
