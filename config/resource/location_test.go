package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// sealed is an image as it is wanted: got from a location, whose file of sums is beside it.
func sealed(location string) *Image {
	img := &Image{Source: location, Checksum: strings.Replace(location, "a.img", "SUMS", 1)}
	SealLocations(img, salt)
	return img
}

// What an image is fetched with is in nothing that is written of it, and a plan that was saved gets it from the files again.
func TestCredentialsInLocations(t *testing.T) {
	for _, location := range []string{
		"https://me:" + secretText + "@host/a.img", "https://" + secretText + "@host/a.img", "https://" + secretText + ":@host/a.img",
		"https://host/a.img?sig=" + secretText, "vagrant+https://host/a.img?token=" + secretText, "https://me:" + secretText + "@host/a.img?a=b&c=d",
	} {
		img := sealed(location)
		data, err := json.Marshal(Encoded{img})
		if err != nil || strings.Contains(string(data)+fmt.Sprintf("%+v %#v", img, *img), secretText) {
			t.Fatalf("it is written as %s, %v", data, err)
		}
		for _, f := range Fields(img) {
			if text := Format(f.Value); strings.Contains(text, secretText) {
				t.Errorf("people are shown %s", text)
			}
		}
		var read Encoded
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		again := read.Resource.(*Image)
		SealLocations(again, salt)
		if diff := Diff(again, img); len(diff) > 0 {
			t.Errorf("read back it differs: %+v", diff)
		}
		if again.Location() != img.Source {
			t.Errorf("before it is revealed it is got from %s", again.Location())
		}
		texts := map[string]string{}
		Secrets(img, texts)
		if missing := Reveal(again, texts); len(missing) > 0 || again.Location() != location || again.ChecksumLocation() != img.ChecksumLocation() {
			t.Errorf("revealed it is got from %s, without %v", again.Location(), missing)
		}
	}
}

// Who fetches a file changes nothing about what it is; what stands behind the question mark may.
func TestWhatAnotherLocationChanges(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"https://me:one@host/a.img", "https://you:two@host/a.img", ""},
		{"https://token@host/a.img", "https://other@host/a.img", ""},
		{"https://host/a.img?sig=1", "https://me@host/a.img?sig=1", "source checksum"},
		{"https://host/a.img?sig=1", "https://host/a.img?sig=2", "full_source full_checksum"},
		{"https://host/a.img", "https://host/b.img", "source checksum"},
	} {
		var got []string
		for _, change := range Diff(sealed(c.before), sealed(c.after)) {
			got = append(got, change.Path)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("from %s to %s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

func TestRedact(t *testing.T) {
	for _, c := range []struct{ location, want string }{
		{"https://host/a.img", "https://host/a.img"},
		{"https://me:pw@host/a.img?x=y#disk", "https://xxxxx@host/a.img?…#disk"},
		{"https://token@host/a.img", "https://xxxxx@host/a.img"},
		{"https://me:a#b@host/a.img?x", "https://xxxxx@host/a.img?…"},
		{"https://host/%zz?token=x", "https://host/%zz?…"},
		{"oci://host:5000/a/b:tag", "oci://host:5000/a/b:tag"},
		{"a folder/what?.img", "a folder/what?.img"},
		{"debian:12", "debian:12"},
	} {
		if got := Redact(c.location); got != c.want || Redact(got) != got {
			t.Errorf("%s is shown as %s, and that as %s; want %s", c.location, got, Redact(got), c.want)
		}
	}
}

func TestHidesTellsWhichValuesAreInLocations(t *testing.T) {
	const location = "https://me:pass@host/v12/a.img?version=12&token=a%2Fb%3D%3D"
	for text, want := range map[string]bool{
		"": false, "host": false, "12": false, "a.img": false, "other": false,
		"pass": true, "me:pass": true, "a%2Fb%3D%3D": true, "a/b==": true, location: true, `["` + location + `"]`: true, "token=a%2Fb%3D%3D": true,
	} {
		if Hides(location, text) != want {
			t.Errorf("%q: %v, want %v", text, !want, want)
		}
	}
}

func TestRedactLineKeepsEverythingInItsPlace(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`source = "https://t0k:en@host/a?sig=abc%2F&v=1"`, `source = "https://xxxxxx@host/a?sig=xxxxxx&v=x"`},
		{`source = "https://${var.token}@host/a?sig=${var.sig}"`, `source = "https://${var.token}@host/a?sig=${var.sig}"`},
		{`count = var.on ? 1 : 0 // me@host`, `count = var.on ? 1 : 0 // me@host`},
	} {
		if got := RedactLine(c.line); got != c.want || len(got) != len(c.line) {
			t.Errorf("%s becomes %s, want %s", c.line, got, c.want)
		}
	}
}
