// Shows one dashboard with the components of Perses itself, over a Prometheus that the address names: index.html?dashboard=fleet.json&prometheus=http://...
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router-dom';
import { QueryParamProvider } from 'use-query-params';
import { ReactRouter6Adapter } from 'use-query-params/adapters/react-router-6';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { ThemeProvider } from '@mui/material';
import { ChartsProvider, SnackbarProvider, generateChartsTheme, getTheme } from '@perses-dev/components';
import { PluginRegistry, dynamicImportPluginLoader } from '@perses-dev/plugin-system';
import { ViewDashboard } from '@perses-dev/dashboards';
import * as prometheus from '@perses-dev/prometheus-plugin';
import * as timeseries from '@perses-dev/timeseries-chart-plugin';
import * as stat from '@perses-dev/stat-chart-plugin';
import * as table from '@perses-dev/table-plugin';

const asked = new URLSearchParams(window.location.search);
const source = {
  kind: 'GlobalDatasource',
  metadata: { name: 'prometheus' },
  spec: { default: true, plugin: { kind: 'PrometheusDatasource', spec: { directUrl: asked.get("prometheus"), scrapeInterval: "1s" } } },
};
const sources = {
  getDatasource: async () => undefined,
  getGlobalDatasource: async () => source,
  listDatasources: async () => [],
  listGlobalDatasources: async () => [source],
};
const loader = dynamicImportPluginLoader(
  [prometheus, timeseries, stat, table].map((plugin) => ({
    resource: plugin.getPluginModule(),
    importPlugin: async () => plugin,
  }))
);
const theme = getTheme('light');
const queries = new QueryClient({ defaultOptions: { queries: { refetchOnWindowFocus: false, retry: 0 } } });

const response = await fetch(asked.get('dashboard'));
const dashboard = await response.json();
dashboard.metadata.project = 'shown';
createRoot(document.getElementById('page')).render(
  <BrowserRouter>
    <QueryParamProvider adapter={ReactRouter6Adapter}>
      <ThemeProvider theme={theme}>
        <ChartsProvider chartsTheme={generateChartsTheme(theme, {})}>
          <SnackbarProvider>
            <QueryClientProvider client={queries}>
              <PluginRegistry pluginLoader={loader}>
                <ViewDashboard
                  dashboardResource={dashboard}
                  datasourceApi={sources}
                  isReadonly={true}
                  isVariableEnabled={true}
                  isDatasourceEnabled={false}
                />
              </PluginRegistry>
            </QueryClientProvider>
          </SnackbarProvider>
        </ChartsProvider>
      </ThemeProvider>
    </QueryParamProvider>
  </BrowserRouter>
);
