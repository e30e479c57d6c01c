package pki

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// Stranger is the name of the authority that a PEM certificate with its chain
// is of, when neither this machine nor further, PEM too, knows it; else "".
func Stranger(chain, further []byte) string {
	leaf, err := firstCertificate(chain)
	if err != nil {
		return ""
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM(further)
	between := x509.NewCertPool()
	for rest := chain; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			between.AddCert(cert)
		}
	}
	// Whether it is valid now is another question.
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		return ""
	}
	return cmp.Or(leaf.Issuer.CommonName, leaf.Issuer.String(), "without a name")
}
