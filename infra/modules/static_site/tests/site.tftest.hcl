mock_provider "azurerm" {
  mock_resource "azurerm_static_web_app" {
    defaults = {
      id                = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-shop-dev/providers/Microsoft.Web/staticSites/stapp-shop-dev-1a2b3c"
      default_host_name = "happy-sea-0a1b2c3d4.5.azurestaticapps.net"
    }
  }
}

variables {
  application    = "shop"
  environment    = "dev"
  location       = "westeurope"
  resource_group = "rg-shop-dev"
  names = {
    static_site = "stapp-shop-dev-1a2b3c"
  }
  dns = {
    zone_name           = "dev.apps.contoso.com"
    zone_resource_group = "rg-platform-dns"
    record              = "shop"
    target              = "ingress.aks-dev-weu.contoso.com"
  }
  tags                    = { "appstore-request-id" = "req-7f3a" }
  deployment_principal_id = "30000000-0000-0000-0000-000000000001"
  action_group_id         = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-shop-dev/providers/Microsoft.Insights/actionGroups/ag-shop-dev"
}

run "the_name_leads_to_the_site_and_not_to_the_ingress" {
  command = apply

  assert {
    condition = (
      azurerm_dns_cname_record.application.record == "happy-sea-0a1b2c3d4.5.azurestaticapps.net" &&
      azurerm_static_web_app_custom_domain.application.domain_name == "shop.dev.apps.contoso.com" &&
      azurerm_static_web_app_custom_domain.application.validation_type == "cname-delegation"
    )
    error_message = "The application's DNS name must lead to the site, and the site must know it."
  }
}

run "nothing_unreviewed_is_public" {
  command = plan

  assert {
    condition     = !azurerm_static_web_app.this.preview_environments_enabled && azurerm_static_web_app.this.sku_tier == "Standard"
    error_message = "A pull request must not get a public preview; the default has a service level agreement."
  }
}

run "the_pipeline_may_change_this_site_alone" {
  command = apply

  assert {
    condition = (
      azurerm_role_assignment.deployment_publishes.scope == azurerm_static_web_app.this.id &&
      azurerm_role_assignment.deployment_publishes.principal_id == var.deployment_principal_id &&
      azurerm_role_assignment.deployment_publishes.role_definition_name == "Website Contributor"
    )
    error_message = "The deployment identity must have its role on the site, and nowhere above."
  }
}

run "a_region_without_the_service_falls_back" {
  command = plan

  variables {
    location = "northeurope"
  }

  assert {
    condition     = azurerm_static_web_app.this.location == "westeurope"
    error_message = "Static Web Apps is offered in five regions; elsewhere its management data goes to West Europe."
  }
}

run "another_sku_is_refused" {
  command = plan

  variables {
    sku = "Premium"
  }

  expect_failures = [var.sku]
}
