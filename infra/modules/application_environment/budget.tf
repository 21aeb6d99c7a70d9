resource "azurerm_consumption_budget_resource_group" "month" {
  name              = "budget-${local.suffix}"
  resource_group_id = azurerm_resource_group.this.id
  amount            = var.monthly_budget
  time_grain        = "Monthly"

  time_period {
    start_date = var.budget_start
  }

  # The forecast and the half warn while there is still time to act; the other two say what has happened.
  dynamic "notification" {
    for_each = {
      forecast  = { threshold = 100, type = "Forecasted" }
      half      = { threshold = 50, type = "Actual" }
      most      = { threshold = 80, type = "Actual" }
      exhausted = { threshold = 100, type = "Actual" }
    }
    content {
      enabled        = true
      operator       = "GreaterThanOrEqualTo"
      threshold      = notification.value.threshold
      threshold_type = notification.value.type
      contact_emails = [var.contact_email]
      contact_groups = [azurerm_monitor_action_group.team.id]
    }
  }
}
