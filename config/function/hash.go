package function

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"slices"

	"github.com/google/uuid"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// digest is a hash in one written form.
type digest struct {
	name   string // the function of texts; "file"+name is the one of files
	title  string
	sum    func() hash.Hash
	encode func([]byte) string
}

var digests = []digest{
	{"md5", "MD5 in hex", md5.New, hex.EncodeToString},
	{"sha1", "SHA-1 in hex", sha1.New, hex.EncodeToString},
	{"sha256", "SHA-256 in hex", sha256.New, hex.EncodeToString},
	{"sha512", "SHA-512 in hex", sha512.New, hex.EncodeToString},
	{"base64sha256", "SHA-256 in Base64", sha256.New, base64.StdEncoding.EncodeToString},
	{"base64sha512", "SHA-512 in Base64", sha512.New, base64.StdEncoding.EncodeToString},
}

func (d digest) of(data []byte) string {
	h := d.sum()
	h.Write(data)
	return d.encode(h.Sum(nil))
}

func hashes() map[string]function.Function {
	out := map[string]function.Function{
		"uuidv5": fixed(`Gives the name-based UUID of name in namespace: "dns", "url", "oid", "x500" or a UUID.`,
			cty.String, uuidV5, text("namespace"), text("name")),
	}
	for _, d := range digests {
		out[d.name] = textToText("Gives the text's "+d.title+".", func(s string) (string, error) { return d.of([]byte(s)), nil }, "str")
	}
	return out
}

var namespaces = map[string]uuid.UUID{
	"dns": uuid.NameSpaceDNS, "url": uuid.NameSpaceURL, "oid": uuid.NameSpaceOID, "x500": uuid.NameSpaceX500,
}

func uuidV5(args []cty.Value) (cty.Value, error) {
	name := args[0].AsString()
	space, ok := namespaces[name]
	if !ok {
		var err error
		if space, err = uuid.Parse(name); err != nil {
			known := make([]string, 0, len(namespaces))
			for k := range namespaces {
				known = append(known, k)
			}
			slices.Sort(known)
			return cty.NilVal, function.NewArgErrorf(0, "%q is neither a UUID nor one of %v", name, known)
		}
	}
	return cty.StringVal(uuid.NewSHA1(space, []byte(args[1].AsString())).String()), nil
}
