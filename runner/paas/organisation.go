package paas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// Organisation is who pays for a host, and the right to make it.
type Organisation struct {
	ID    string
	Token Secret
}

// Organisation finds the organisation of a tenant: the only one, or what the
// custom attributes of the tenant's group say.
func (c *Coordinator) Organisation(ctx context.Context, k Clever, tenant string) (Organisation, error) {
	if !k.Tenants {
		return Organisation{k.Organisation, k.Token}, nil
	}
	if tenant == "" {
		return Organisation{}, errors.New("find organisation: the job names no top-level group")
	}
	attributes, err := c.attributes(ctx, k, tenant)
	if err != nil {
		return Organisation{}, err
	}
	o := Organisation{attributes[k.OrgaAttribute], secret.New(attributes[k.TokenAttribute])}
	for name, missing := range map[string]bool{k.OrgaAttribute: o.ID == "", k.TokenAttribute: o.Token.Empty()} {
		if missing {
			return Organisation{}, &fault.Error{
				Op: "find organisation of group", What: tenant, Why: "it has no custom attribute " + name,
				Remedy: "An administrator of the forge sets it on the top-level group.",
			}
		}
	}
	return o, nil
}

// attributes are the custom attributes of a tenant's group.
func (c *Coordinator) attributes(ctx context.Context, k Clever, tenant string) (map[string]string, error) {
	q := call{
		method: http.MethodGet, path: "/groups/" + url.PathEscape(tenant) + "/custom_attributes",
		header: http.Header{"Private-Token": {k.AttributeToken.Reveal()}},
	}
	a, err := c.send(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("find organisation of group %s: %w", tenant, err)
	}
	if a.status != http.StatusOK {
		return nil, &fault.Error{
			Op: "find organisation of group", What: tenant, Err: a.refusal(q),
			Remedy: "The token in cc_gitlab_namespace_attributes_token must belong to an administrator, and the project to a group.",
		}
	}
	var list []struct{ Key, Value string }
	if json.Unmarshal(a.body, &list) != nil {
		return nil, fmt.Errorf("find organisation of group %s: not valid JSON", tenant)
	}
	attributes := map[string]string{}
	for _, attribute := range list {
		attributes[attribute.Key] = attribute.Value
	}
	return attributes, nil
}
