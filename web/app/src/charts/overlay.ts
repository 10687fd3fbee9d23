// Draws straight pieces over candles: each trade from its entry to its exit, each stop and limit price while it was there.
import type { IPrimitivePaneRenderer, IPrimitivePaneView, ISeriesPrimitive, SeriesAttachedParameter, Time } from "lightweight-charts";

export interface Piece {
  from: Time;
  fromPrice: number;
  to: Time;
  toPrice: number;
  colour: string;
  dashed: boolean;
  width: number;
}

export class Overlay implements ISeriesPrimitive<Time> {
  private pieces: readonly Piece[] = [];
  private attachedTo: SeriesAttachedParameter<Time> | null = null;

  attached(parameters: SeriesAttachedParameter<Time>): void {
    this.attachedTo = parameters;
  }

  detached(): void {
    this.attachedTo = null;
  }

  show(pieces: readonly Piece[]): void {
    this.pieces = pieces;
    this.attachedTo?.requestUpdate();
  }

  paneViews(): readonly IPrimitivePaneView[] {
    const renderer: IPrimitivePaneRenderer = { draw: (target) => target.useMediaCoordinateSpace(({ context }) => this.draw(context)) };
    return [{ renderer: () => renderer }];
  }

  private draw(context: CanvasRenderingContext2D): void {
    if (!this.attachedTo) return;
    const { chart, series } = this.attachedTo;
    const scale = chart.timeScale();
    const width = scale.width();
    for (const piece of this.pieces) {
      const [x1, x2] = [scale.timeToCoordinate(piece.from), scale.timeToCoordinate(piece.to)];
      const [y1, y2] = [series.priceToCoordinate(piece.fromPrice), series.priceToCoordinate(piece.toPrice)];
      if (x1 === null || x2 === null || y1 === null || y2 === null || x2 < 0 || x1 > width) continue;
      context.beginPath();
      context.setLineDash(piece.dashed ? [4, 3] : []);
      context.strokeStyle = piece.colour;
      context.lineWidth = piece.width;
      context.moveTo(x1, y1);
      context.lineTo(Math.max(x2, x1 + 3), y2);
      context.stroke();
    }
    context.setLineDash([]);
  }
}
