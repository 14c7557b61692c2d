package function

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"unicode/utf8"

	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

func encodings() map[string]function.Function {
	return map[string]function.Function{
		"base64decode": textToText("Decodes Base64 whose content is UTF-8 text.", base64Decode, "str"),
		"base64encode": textToText("Encodes the UTF-8 text as Base64.", base64Encode, "str"),
		"base64gzip":   textToText("Compresses the text with gzip and encodes the result as Base64.", base64Gzip, "str"),
		"csvdecode":    stdlib.CSVDecodeFunc,
		"jsondecode":   stdlib.JSONDecodeFunc,
		"jsonencode":   stdlib.JSONEncodeFunc,
		"urlencode":    textToText("Escapes the text for use in a URL's query.", func(s string) (string, error) { return url.QueryEscape(s), nil }, "str"),
		"yamldecode":   yaml.YAMLDecodeFunc.WithNewDescriptions("Reads one YAML document.", []string{""}),
		"yamlencode":   yaml.YAMLEncodeFunc.WithNewDescriptions("Writes the value as YAML.", []string{""}),
	}
}

func base64Encode(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }

func base64Decode(s string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("not Base64: %w", err)
	}
	if !utf8.Valid(data) {
		return "", errors.New("the decoded bytes are not UTF-8 text, and a string can hold nothing else")
	}
	return string(data), nil
}

func base64Gzip(s string) (string, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(s)); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64Encode(buf.String())
}
